"""The TLS proxy of compose.yaml: what its configuration says, and, where Caddy is installed, what it does."""

from __future__ import annotations

import base64
import json
import re
import shutil
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPSConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from deploy import make_secrets
from tests.contract.deployed import DEPLOY
from tests.processes import free_port

CADDYFILE = (DEPLOY / "proxy" / "Caddyfile").read_text(encoding="utf-8")
LOGIN = f"login.{make_secrets.HOST}"
FORGED = {"Client-Cert": ":AAAA:", "Client-Cert-Chain": ":AAAA:", "SSL-Client-Cert": "AAAA"}


def test_tls_is_new_and_slow_senders_are_cut_off() -> None:
    assert "protocols tls1.3\n" in CADDYFILE
    assert "mode verify_if_given" in CADDYFILE
    assert re.search(r"read_header \d+s", CADDYFILE)
    assert re.search(r"read_body \d+s", CADDYFILE)
    assert re.search(r"max_size \d+KB", CADDYFILE)
    assert "\tadmin off\n" in CADDYFILE


def test_what_a_client_may_not_say_is_stripped_before_the_proxy_says_it() -> None:
    for site in CADDYFILE.split("\nhttps://")[1:3]:
        assert "import tls" in site
        route = site[site.index("\troute {") :]
        assert route.index("import stripped") < route.index("request_header @certified") < route.index("reverse_proxy")
    stripped = re.search(r"\(stripped\) \{(.*?)\n\}", CADDYFILE, re.DOTALL)
    assert stripped is not None
    assert {f"request_header -{name}" for name in FORGED} <= {line.strip() for line in stripped[1].splitlines()}


def test_there_is_no_access_log() -> None:
    assert not re.search(r"^\t(log|import log)\b", CADDYFILE.partition("\n}\n")[2], re.MULTILINE)


class _Echo(BaseHTTPRequestHandler):
    """What stands behind the proxy: it tells which headers came."""

    def do_GET(self) -> None:
        body = json.dumps({name.lower(): value for name, value in self.headers.items()}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@dataclass(frozen=True)
class Proxy:
    """A running one."""

    port: int
    secrets: Path

    def context(self, *, certified: bool) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.secrets / "client_authority"))
        if certified:
            context.load_cert_chain(self.secrets / "client" / "ehr.crt", self.secrets / "client" / "ehr.key")
        return context

    def get(self, host: str, path: str, context: ssl.SSLContext, said: str | None = None) -> tuple[int, dict[str, Any]]:
        connection = _To(self.port, host, context)
        try:
            connection.request("GET", path, headers={"Host": f"{said or host}:{self.port}", **FORGED})
            answer = connection.getresponse()
            body = answer.read()
            return answer.status, json.loads(body) if answer.status == 200 else {}
        finally:
            connection.close()


class _To(HTTPSConnection):
    """A connection to this machine for another name."""

    def __init__(self, port: int, host: str, context: ssl.SSLContext) -> None:
        super().__init__("127.0.0.1", port, context=context, timeout=60)
        self._name, self._tls = host, context

    def connect(self) -> None:
        super(HTTPSConnection, self).connect()
        self.sock = self._tls.wrap_socket(self.sock, server_hostname=self._name)


@contextmanager
def echoing() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Echo)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    caddy = shutil.which("caddy")
    if caddy is None:
        pytest.skip("there is no caddy on this machine")
    folder, port = tmp_path_factory.mktemp("proxy"), free_port()
    make_secrets.make(folder / "secrets", folder / ".env")
    with echoing() as upstream:
        text = re.sub(r"\b(gateway:8000|keycloak:8080)\b", f"127.0.0.1:{upstream}", CADDYFILE)
        text = text.replace("/run/secrets/", f"{folder / 'secrets'}/").replace(":8443", f":{port}")
        text = text.replace("http://127.0.0.1:8080 {", f"http://127.0.0.1:{free_port()} {{")
        (folder / "Caddyfile").write_text(text)
        environment = {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "XDG_DATA_HOME": str(folder)}
        command = [caddy, "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]
        with (folder / "log").open("wb") as log:
            child = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        try:
            yield until_up(Proxy(port, folder / "secrets"), child, folder / "log")
        finally:
            child.terminate()
            child.wait(timeout=60)


def until_up(proxy: Proxy, child: subprocess.Popen[bytes], log: Path) -> Proxy:
    until = time.monotonic() + 60
    while time.monotonic() < until and child.poll() is None:
        try:
            proxy.get(make_secrets.HOST, "/", proxy.context(certified=False))
        except OSError:
            time.sleep(0.05)
        else:
            return proxy
    raise RuntimeError(f"the proxy did not start: {log.read_text()[-1000:]}")


def test_a_certificate_is_passed_on_as_rfc_9440_says(proxy: Proxy) -> None:
    pem = (proxy.secrets / "client" / "ehr.crt").read_text()
    der = base64.b64encode(ssl.PEM_cert_to_DER_cert(pem)).decode()
    status, told = proxy.get(make_secrets.HOST, "/", proxy.context(certified=True))
    assert (status, told["client-cert"]) == (200, f":{der}:")
    assert not told.keys() & {"ssl-client-cert", "client-cert-chain"}
    _, told = proxy.get(LOGIN, "/realms/connect-care", proxy.context(certified=True))
    assert told["ssl-client-cert"] == der


@pytest.mark.parametrize("host", [make_secrets.HOST, LOGIN])
def test_nobody_says_of_themselves_whose_certificate_they_have(proxy: Proxy, host: str) -> None:
    status, told = proxy.get(host, "/", proxy.context(certified=False))
    assert status == 200
    assert not told.keys() & {name.lower() for name in FORGED}


def test_a_certificate_of_another_authority_is_refused(proxy: Proxy, tmp_path: Path) -> None:
    make_secrets.make(tmp_path / "secrets", tmp_path / ".env")
    context = proxy.context(certified=False)
    context.load_cert_chain(tmp_path / "secrets" / "client" / "ehr.crt", tmp_path / "secrets" / "client" / "ehr.key")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        proxy.get(make_secrets.HOST, "/", context)


def test_older_tls_is_refused(proxy: Proxy) -> None:
    context = proxy.context(certified=False)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):
        proxy.get(make_secrets.HOST, "/", context)


def test_another_name_gets_nothing(proxy: Proxy) -> None:
    context = proxy.context(certified=False)
    assert proxy.get(make_secrets.HOST, "/", context, said="elsewhere.example")[0] == 421
    assert proxy.get(make_secrets.HOST, "/", context, said=LOGIN)[0] == 421


@pytest.mark.parametrize("path", ["/admin/", "/admin/master/console/", "/realms/master", "/metrics", "/health/ready"])
def test_keycloaks_own_pages_are_not_for_everybody(proxy: Proxy, path: str) -> None:
    assert proxy.get(LOGIN, path, proxy.context(certified=False))[0] == 404

"""The nginx form of the TLS proxy: what its configuration says, and, where nginx is installed, what it does."""

from __future__ import annotations

import base64
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy import make_secrets
from gateway.serving import _KEPT_SECONDS
from tests.contract.deployed import DEPLOY
from tests.contract.test_proxy import FORGED, Proxy, echoing, until_up
from tests.processes import free_port

CONFIGURATION = (DEPLOY / "proxy" / "nginx.conf").read_text(encoding="utf-8")
HOST = make_secrets.HOST


def directive(name: str) -> str:
    found = re.findall(rf"^\s*{name} ([^;]+);", CONFIGURATION, re.MULTILINE)
    assert len(found) == 1, f"{name}: {found}"
    return str(found[0])


def test_tls_is_new_and_slow_senders_are_cut_off() -> None:
    assert directive("ssl_protocols") == "TLSv1.3"
    assert directive("ssl_verify_client") == "optional"
    assert directive("client_header_timeout") == "5s"
    assert directive("client_body_timeout") == "10s"
    assert directive("client_max_body_size") == "64k"


def test_nothing_clinical_is_written_down() -> None:
    assert directive("access_log") == "off"
    assert directive("error_log") == "stderr alert"
    assert directive("proxy_max_temp_file_size") == "0"
    assert directive("client_body_buffer_size") == directive("client_max_body_size"), "no body goes to a file"


def test_everything_that_it_writes_is_under_tmp() -> None:
    places = re.findall(r"^\s*(?:pid|\w+_temp_path) (\S+);", CONFIGURATION, re.MULTILINE)
    assert len(places) == 6
    assert all(place.startswith("/tmp/") for place in places)


@pytest.mark.parametrize("proxy", ["nginx.conf", "Caddyfile"])
def test_idle_connections_are_the_proxys_to_close(proxy: str) -> None:
    text = (DEPLOY / "proxy" / proxy).read_text(encoding="utf-8")
    kept = [int(one) for one in re.findall(r"^\s*keepalive(?:_timeout)? (\d+)s\b", text, re.MULTILINE)]
    assert kept
    assert max(kept) < _KEPT_SECONDS


def test_as_many_lines_of_a_certificate_are_put_together_as_it_says() -> None:
    named = re.findall(r"\?<l(\d\d)>", CONFIGURATION)
    said = re.search(r"more than (\d+) lines", CONFIGURATION)
    joined = re.search(r'":((?:\$l\d\d)+):"', CONFIGURATION)
    assert said is not None
    assert joined is not None
    assert named == re.findall(r"l(\d\d)", joined[1]) == [f"{number:02}" for number in range(1, int(said[1]) + 1)]


@dataclass(frozen=True)
class Running:
    """nginx, and what stands behind it."""

    proxy: Proxy

    @property
    def port(self) -> int:
        return self.proxy.port

    def connect(self) -> ssl.SSLSocket:
        raw = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        return self.proxy.context(certified=False).wrap_socket(raw, server_hostname=HOST)

    def tell(self, *parts: bytes) -> bytes:
        """Send these, and read until the other side has closed."""
        with self.connect() as connection:
            for part in parts:
                connection.sendall(part)
            return _rest(connection)


def _rest(connection: ssl.SSLSocket) -> bytes:
    said = b""
    try:
        while chunk := connection.recv(65536):
            said += chunk
    except (ConnectionError, ssl.SSLError):
        pass  # it was reset, as slow senders are
    return said


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    program = shutil.which("nginx")
    if program is None:
        pytest.skip("there is no nginx on this machine")
    folder, port = tmp_path_factory.mktemp("nginx"), free_port()
    secrets = folder / "secrets"
    make_secrets.make(secrets, folder / ".env")
    with echoing() as upstream:
        text = CONFIGURATION.replace("listen 8443", f"listen 127.0.0.1:{port}").replace("/tmp/", f"{folder}/")
        text = text.replace("/run/tls/tls.crt", str(secrets / "tls_certificate"))
        text = text.replace("/run/tls/tls.key", str(secrets / "tls_key"))
        text = text.replace("/run/client-authority/ca.crt", str(secrets / "client_authority"))
        text = re.sub(r"client_(header|body)_timeout \d+s", r"client_\1_timeout 3s", text)
        (folder / "nginx.conf").write_text(text)
        (folder / "gateway.conf").write_text(f"server 127.0.0.1:{upstream} max_fails=0;\n")
        options = ["-c", str(folder / "nginx.conf"), "-e", "stderr", "-p", str(folder)]
        # The tests may run as root, and its children would be somebody who can't read these files.
        user = "user root; " if (folder / "nginx.conf").owner() == "root" else ""
        with (folder / "log").open("wb") as log:
            child = subprocess.Popen([program, *options, "-g", f"{user}daemon off;"], stdout=log, stderr=log)
        try:
            yield Running(until_up(Proxy(port, secrets), child, folder / "log"))
        finally:
            child.terminate()
            child.wait(timeout=60)


def test_a_certificate_is_passed_on_as_rfc_9440_says(nginx: Running) -> None:
    pem = (nginx.proxy.secrets / "client" / "ehr.crt").read_text()
    der = base64.b64encode(ssl.PEM_cert_to_DER_cert(pem)).decode()
    status, told = nginx.proxy.get(HOST, "/", nginx.proxy.context(certified=True))
    assert (status, told["client-cert"]) == (200, f":{der}:")
    assert not told.keys() & {"ssl-client-cert", "client-cert-chain", "forwarded"}
    assert told["host"] == f"{HOST}:{nginx.port}"


def test_nobody_says_of_themselves_whose_certificate_they_have(nginx: Running) -> None:
    status, told = nginx.proxy.get(HOST, "/", nginx.proxy.context(certified=False))
    assert status == 200
    assert not told.keys() & {name.lower() for name in FORGED}


def test_a_certificate_of_another_authority_is_refused(nginx: Running, tmp_path: Path) -> None:
    make_secrets.make(tmp_path / "secrets", tmp_path / ".env")
    context = nginx.proxy.context(certified=False)
    context.load_cert_chain(tmp_path / "secrets" / "client" / "ehr.crt", tmp_path / "secrets" / "client" / "ehr.key")
    assert nginx.proxy.get(HOST, "/", context)[0] == 400


def test_older_tls_is_refused(nginx: Running) -> None:
    context = nginx.proxy.context(certified=False)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):
        nginx.proxy.get(HOST, "/", context)


@pytest.mark.parametrize(
    "slow",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nsome",
    ],
    ids=["header", "body"],
)
def test_whoever_stops_in_the_middle_is_cut_off(nginx: Running, slow: bytes) -> None:
    """It ends by itself, without an answer from behind; the socket's own limit is far longer."""
    said = nginx.tell(slow)
    assert b" 200 " not in said.partition(b"\r\n")[0]


@pytest.mark.parametrize(
    "both",
    [
        b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
        b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    ],
    ids=["two framings", "two lengths", "unknown framing"],
)
def test_a_request_with_two_ends_is_refused(nginx: Running, both: bytes) -> None:
    said = nginx.tell(b"POST / HTTP/1.1\r\nHost: x\r\n" + both)
    assert said.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 501 ")), said[:100]


def test_a_large_body_is_refused_before_it_is_sent(nginx: Running) -> None:
    assert nginx.tell(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 65537\r\n\r\n").startswith(b"HTTP/1.1 413 ")

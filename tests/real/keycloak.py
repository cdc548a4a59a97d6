"""Keycloak as released, with the realm that compose.yaml imports, in memory on a free port."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from tests.processes import free_port
from tests.real.maven import KEPT, ROOT, copied

VERSION = "26.4.7"
REALM = ROOT / "deploy" / "keycloak" / "connect-care-realm.json"
PASSWORD = "made-up-staff-of-a-test"
_ADMIN = ("admin", "admin-of-a-test")
_SECONDS = 600


@dataclass
class Keycloak:
    """A running one. `base` is where it is reached."""

    base: str
    log: Path

    @property
    def issuer(self) -> str:
        return f"{self.base}/realms/connect-care"

    def key_ids(self) -> list[str]:
        """The ids of the keys that it publishes."""
        keys = httpx2.get(f"{self.issuer}/protocol/openid-connect/certs", timeout=30, trust_env=False).json()["keys"]
        return [str(key["kid"]) for key in keys]

    def rotate(self) -> None:
        """A new signing key, ahead of the one before, which stays published."""
        config = {"ecdsaEllipticCurveKey": ["P-256"], "priority": ["200"], "active": ["true"], "enabled": ["true"]}
        self._admin(
            "POST",
            "components",
            json={
                "name": "tokens-new",
                "providerId": "ecdsa-generated",
                "providerType": "org.keycloak.keys.KeyProvider",
                "config": config,
            },
        )

    def end_sessions(self, username: str) -> None:
        """What an administrator does when somebody's device is lost: every session of theirs ends."""
        (user,) = self._admin("GET", "users", params={"username": username, "exact": "true"}).json()
        self._admin("POST", f"users/{user['id']}/logout")

    def _admin(self, method: str, path: str, **more: Any) -> httpx2.Response:
        with httpx2.Client(timeout=30, trust_env=False) as client:
            form = {"grant_type": "password", "client_id": "admin-cli", "username": _ADMIN[0], "password": _ADMIN[1]}
            token = client.post(f"{self.base}/realms/master/protocol/openid-connect/token", data=form).json()
            headers = {"Authorization": f"Bearer {token['access_token']}"}
            answer = client.request(method, f"{self.base}/admin/realms/connect-care/{path}", headers=headers, **more)
            assert answer.status_code < 300, answer.text
            return answer


@contextmanager
def running(folder: Path, gateway: str) -> Iterator[Keycloak]:
    """Keycloak, once it answers. `gateway` is where it sends logout tokens."""
    home, port = _installed(), free_port()
    imported = home / "data" / "import"
    imported.mkdir(parents=True, exist_ok=True)
    shutil.copy(REALM, imported)
    options = ("--import-realm", "--db=dev-mem", "--cache=local", "--http-host=127.0.0.1", f"--http-port={port}")
    environment = {
        **os.environ,
        "KC_BOOTSTRAP_ADMIN_USERNAME": _ADMIN[0],
        "KC_BOOTSTRAP_ADMIN_PASSWORD": _ADMIN[1],
        "CONNECT_CARE_STAFF_PASSWORD": PASSWORD,
        "CONNECT_CARE_GATEWAY": gateway,
        "KC_SPI_X509CERT_LOOKUP__PROVIDER": "haproxy",
        "KC_SPI_X509CERT_LOOKUP__HAPROXY__SSL_CLIENT_CERT": "SSL-Client-Cert",
        "JAVA_OPTS_APPEND": "-Xmx700m -XX:TieredStopAtLevel=1",
    }
    log = folder / "keycloak.log"
    with log.open("wb") as lines:
        # kc.sh hands SIGTERM on to Java; what has to be killed is killed together with its Java, as a group of its own.
        child = subprocess.Popen(
            [home / "bin" / "kc.sh", "start-dev", *options], stdout=lines, stderr=lines, env=environment
        )
    found = Keycloak(f"http://127.0.0.1:{port}", log)
    try:
        _wait(found, child)
        yield found
    finally:
        child.terminate()
        try:
            child.wait(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def _installed() -> Path:
    archive = copied(f"org.keycloak:keycloak-quarkus-dist:{VERSION}:zip", f"keycloak-{VERSION}.zip")
    home = KEPT / f"keycloak-{VERSION}"
    if not (home / "bin" / "kc.sh").exists():
        with zipfile.ZipFile(archive) as files:
            files.extractall(KEPT)
        (home / "bin" / "kc.sh").chmod(0o755)
    return home


def _wait(keycloak: Keycloak, child: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _SECONDS
    while time.monotonic() < until and child.poll() is None:
        try:
            if httpx2.get(f"{keycloak.issuer}/.well-known/openid-configuration", trust_env=False).status_code == 200:
                return
        except httpx2.HTTPError:
            pass
        time.sleep(0.5)
    raise RuntimeError(f"Keycloak did not start: {keycloak.log.read_text(errors='replace')[-2000:]}")

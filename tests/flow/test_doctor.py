"""The doctor is silent on the production example, and finds each thing that is taken from it."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID
from ruamel.yaml import YAML

from connectors.sdk import kernel
from deploy import make_production, make_secrets
from gateway.demo.identity import Demo
from gateway.doctor import machine
from gateway.doctor.examine import examine, read
from gateway.doctor.finding import Finding
from gateway.store.sqlite import SqliteStore
from tests.quick import every

ISSUER = "/realms/staff"


@dataclass
class World:
    """The example, laid out and pointed at a server of ours, whose `documents` may be changed."""

    settings: Path
    authority: Path
    base: str
    documents: dict[str, Any]

    @property
    def etc(self) -> Path:
        return self.settings.parent

    def value(self, name: str) -> Any:
        return YAML(typ="safe").load(self.settings.read_text())[name]

    def set(self, **changed: Any) -> None:
        values = {**YAML(typ="safe").load(self.settings.read_text()), **changed}
        self.settings.write_text(json.dumps({name: value for name, value in values.items() if value is not None}))

    def entry(self, **changed: Any) -> None:
        """Change the one organisation."""
        file = self.etc / "organisations.yaml"
        [entry] = YAML(typ="safe").load(file.read_text())["organisations"]
        file.write_text(json.dumps({"organisations": [entry | changed]}, default=str))

    async def examined(self, **more: Any) -> list[Finding]:
        return await examine(read(self.settings, trust=self.authority, **more))


@contextmanager
def served(documents: dict[str, Any], certificate: bytes, key: bytes, folder: Path) -> Iterator[int]:
    """JSON by path, over TLS."""

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(documents.get(self.path, {})).encode()
            self.send_response(200 if self.path in documents else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815 (as the library calls it)

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    (folder / "server.crt").write_bytes(certificate)
    (folder / "server.key").write_bytes(key)
    context.load_cert_chain(folder / "server.crt", folder / "server.key")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    authority = make_secrets.Authority.new()
    (tmp_path / "authority.pem").write_bytes(authority.pem)
    pair = authority.sign("server", ["localhost"], ExtendedKeyUsageOID.SERVER_AUTH)
    documents: dict[str, Any] = {}
    settings = make_production.make(tmp_path / "root")
    with served(documents, *pair, tmp_path) as port:
        base = f"https://localhost:{port}"
        for file in (settings, settings.with_name("organisations.yaml")):
            text = file.read_text()
            for name in ("login", "fhir"):
                text = text.replace(f"https://{name}.trust.example.org", base)
            file.write_text(text)
        signing = Demo(base + ISSUER, "connect-care").key.as_dict(private=False)
        documents[f"{ISSUER}/.well-known/openid-configuration"] = {
            "issuer": base + ISSUER,
            "jwks_uri": f"{base}/keys",
            "dpop_signing_alg_values_supported": ["ES256"],
        }
        documents["/keys"] = {"keys": [signing]}
        made = World(settings, tmp_path / "authority.pem", base, documents)
        Path(made.value("backup_stamp")).touch()  # as the back-up does
        if not kernel.is_built():
            made.set(kernel="python")
        yield made


async def test_on_the_production_example_it_is_silent(world: World) -> None:
    assert {file.name for file in world.etc.glob("*.yaml")} == {"settings.yaml", "organisations.yaml"}
    assert await world.examined() == []
    await SqliteStore(Path(world.value("data_dir"))).aclose()
    assert await world.examined() == [], "with a store that the gateway has made, too"


def _break_key(world: World) -> None:
    Path(world.value("key_file")).chmod(0o644)


def _empty_key(world: World) -> None:
    Path(world.value("key_file")).write_text("abcd")


def _lose_key(world: World) -> None:
    Path(world.value("key_file")).unlink()


def _move_keys(world: World) -> None:
    data = Path(world.value("data_dir"))
    for name in ("key_file", "checkpoint_key"):
        moved = Path(world.value(name)).rename(data / name)
        world.set(**{name: str(moved)})


def _expire_backup(world: World) -> None:
    os.utime(world.value("backup_stamp"), (0, 0))


def _open_source_key(world: World) -> None:
    (world.etc / "source.key").chmod(0o640)


def _spoil_store(world: World) -> None:
    folder = Path(world.value("data_dir")) / "store"
    folder.mkdir()
    (folder / "connect-care.sqlite3").write_text("no database")


def _issuer(world: World, **changed: Any) -> None:
    document = world.documents[f"{ISSUER}/.well-known/openid-configuration"]
    document.update(changed)


BROKEN: list[tuple[Any, str]] = [
    (_break_key, r"key_file: .*master\.key is open to others than its owner\. Close it: chmod 600"),
    (_empty_key, r"key_file: .*master\.key can't be used\. .*must hold 32 bytes"),
    (_lose_key, r"key_file: .*master\.key can't be seen"),
    (_move_keys, r"key_file: .*lies in data_dir.*\ncheckpoint_key: .*lies in data_dir"),
    (_expire_backup, r"backup_stamp: the last back-up was on 1970-01-01"),
    (_open_source_key, r"RJ2: auth\.key_file: .*source\.key is open to others"),
    (_spoil_store, r"data_dir: the store can't be read\."),
    (lambda world: world.set(profile="demo"), r"profile: it says demo\..*\nsender_constraint must be required"),
    (lambda world: world.set(backup_stamp=None), "backup_stamp: nothing tells whether there is a back-up"),
    (lambda world: world.set(backup_stamp="/nowhere"), "backup_stamp: /nowhere can't be seen"),
    (lambda world: world.set(security_contact=None), "security_contact: nobody can be told of a security hole"),
    (lambda world: world.set(audit_sink=None), "audit_sink is missing"),
    (lambda world: world.set(checkpoint_key=None), "checkpoint_key is missing"),
    (lambda world: world.set(sender_constraint="optional"), "sender_constraint must be required"),
    (lambda world: world.set(audit_sink=world.value("data_dir") + "/sink"), "audit_sink: .* lies in data_dir"),
    (lambda world: world.set(public_url="https://other.example.org"), "checkpoint_key: the key is of the log connect"),
    (lambda world: world.set(policies_dir="/nowhere"), "policies_dir: the policies can't be used. /nowhere"),
    (lambda world: world.set(organisations_file="/nowhere"), "organisations: they can't be examined. /nowhere"),
    (lambda world: world.set(database_password_file="/nowhere"), "database_password_file: /nowhere can't be seen"),
    (lambda world: world.entry(address="sandbox"), "RJ2 is a sandbox or has a plain HTTP address"),
    (lambda world: world.entry(stage="live"), "RJ2 is live, but its connector fhir_r4 has not earned silver there"),
    (lambda world: world.entry(settings={}), "RJ2: nothing proves to its system who we are. Add auth"),
    (lambda world: world.entry(address="https://localhost:1/R4"), "RJ2: localhost:1: it can't be reached"),
    (
        lambda world: world.entry(settings={"tls": {"ca_file": str(world.etc / "master.key")}}),
        r"RJ2: tls\.ca_file: .*master\.key holds no certificate(.|\n)*RJ2: localhost.*can't be used",
    ),
    (lambda world: _issuer(world, dpop_signing_alg_values_supported=[]), "metadata doesn't say that it binds tokens"),
    (lambda world: _issuer(world, issuer="https://another.example"), "discovery document is another issuer's"),
    (lambda world: _issuer(world, connect_care_demo=True), "it is the demo's identity provider"),
    (lambda world: world.documents.pop("/keys"), "its metadata or keys can't be had"),
    (
        lambda world: world.set(issuers=[{**world.value("issuers")[0], "algorithms": ["RS256"]}]),
        "none of its keys is for RS256; it has keys for ES256",
    ),
]


@pytest.mark.parametrize(("breaks", "said"), every(6, BROKEN))
async def test_it_finds_what_is_taken_from_the_example(world: World, breaks: Any, said: str) -> None:
    breaks(world)
    found = await world.examined()
    told = "\n".join(map(str, found))
    assert found, said
    assert pytest.raises(AssertionError, match=said).matches(AssertionError(told)), told


@pytest.mark.parametrize(
    ("ahead", "said"),
    [
        (timedelta(minutes=5), ["clock"]),
        (-timedelta(minutes=5), ["clock"]),
        (timedelta(days=70), ["backup_stamp", "clock", "RJ2"]),
    ],
)
async def test_it_knows_what_time_it_is(world: World, ahead: timedelta, said: list[str]) -> None:
    found = await world.examined(now=lambda: datetime.now(UTC) + ahead)
    assert [finding.about for finding in found] == said


async def test_a_disk_that_is_nearly_full(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "LEAST_FREE", 2**60)
    assert [finding.about for finding in await world.examined()] == ["data_dir", "audit_sink"]


async def test_what_was_accepted_is_told_before_it_ends(world: World) -> None:
    for days, expected in ((10, 1), (60, 0)):
        until = (datetime.now(UTC) + timedelta(days=days)).date()
        accepted = {"reason": "its test endpoint opens next month", "by": "A. Owner", "until": until}
        world.entry(stage="live", accepted_below_silver=accepted)
        found = await world.examined()
        assert [f"what A. Owner accepted below silver ends on {until}"] * expected == [one.what for one in found]


async def test_nobody_believes_a_server_of_unknown_authority(world: World) -> None:
    other = make_secrets.Authority.new()
    world.authority.write_bytes(other.pem)
    found = await world.examined()
    assert [finding.about for finding in found] == [world.base + ISSUER, "RJ2"]
    assert "its certificate isn't believed" in found[1].what


@pytest.mark.slow
def test_the_command(world: World) -> None:
    def told(*more: str) -> tuple[int, str, str]:
        done = subprocess.run(
            [sys.executable, "-m", "gateway.cli", "doctor", "--config", str(world.settings), *more],
            env=os.environ | {"SSL_CERT_FILE": str(world.authority)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    assert told() == (0, "", "")
    assert json.loads(told("--json")[1]) == {"ready": True, "findings": []}
    world.set(audit_sink=None)
    code, out, _ = told()
    assert (code, out[:26]) == (1, "1. audit_sink is missing: ")
    code, out, _ = told("--json")
    [finding] = json.loads(out)["findings"]
    assert (code, finding["about"], finding["isAdvice"]) == (1, "audit_sink", False)
    world.set(nonsense=1)
    code, out, err = told()
    assert (code, out) == (1, "")
    assert "unknown setting nonsense" in err

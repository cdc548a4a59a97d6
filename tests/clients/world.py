"""A running demo as clients meet it: real gateway, sandboxes and identity provider, all on this machine's loopback.

A second gateway, beside it, allows each person one request a day: what a caller who asks too much is told.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from gateway.demo.run import AUDIENCE
from gateway.demo.token import DEMO_GRANT
from tests.processes import Gateway, free_port, organisation

GRACE: Final = "9990000409"
ELSIE: Final = "9990000964"
TOMASZ: Final = "9990000476"
PRACTICE: Final = "G85005"
_PATIENCE: Final = 90
_JSON: Final = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class Demo:
    """A demo that runs. `environment` is what its other commands need to find it."""

    port: int
    environment: dict[str, str]
    said: dict[str, Any]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def base(self) -> str:
        return f"{self.url}/fhir/R4"

    @property
    def issuer(self) -> str:
        return str(self.said["issuer"])

    def token(self, spoken: str) -> str:
        """An access token of the demo's identity provider."""
        form = urlencode({"grant_type": DEMO_GRANT, "as": spoken}).encode()
        return str(_call(f"{self.issuer}/token", form)["access_token"])

    def agree(self, token: str, nhs_number: str) -> None:
        """The patient agrees to be looked up."""
        body = json.dumps({"nhsNumber": nhs_number, "basis": "patient-agreed"}).encode()
        _call(f"{self.url}/permissions", body, {"Authorization": f"Bearer {token}", **_JSON})

    def search(self, token: str, query: str) -> dict[str, Any]:
        """A plain search, without any of the clients."""
        return _call(f"{self.base}/{query}", None, {"Authorization": f"Bearer {token}"})

    def make(self, mode: str, *organisations: str) -> None:
        """Make these organisations' sandboxes misbehave."""
        for ods in organisations:
            _call(self.said["control"][ods], json.dumps({"mode": mode}).encode(), _JSON)


def _call(url: str, body: bytes | None, headers: dict[str, str] | None = None) -> dict[str, Any]:
    with urllib.request.urlopen(urllib.request.Request(url, body, headers or {}), timeout=30) as answer:
        said: dict[str, Any] = json.load(answer)
    return said


@contextmanager
def demo(folder: Path, options: Sequence[str] = (), settings: dict[str, str] | None = None) -> Iterator[Demo]:
    """`connectcare demo` on a free port, with everything that it keeps in `folder`."""
    (folder / "run").mkdir(mode=0o700, parents=True)
    environment = {**os.environ, "TMPDIR": str(folder), "XDG_RUNTIME_DIR": str(folder / "run"), **(settings or {})}
    port, data = free_port(), folder / "data"
    command = [sys.executable, "-m", "gateway.cli", "demo", "--port", str(port), "--data", str(data), *options]
    with (folder / "demo.err").open("w+") as errors:
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True)
        assert process.stdout is not None
        try:
            if not any("$everything" in line for line in process.stdout):
                errors.seek(0)
                raise RuntimeError(f"the demo did not start: {errors.read()[-2000:]}")
            said = json.loads(next((folder / "run").glob(f"*/{port}.json")).read_text())
            yield Demo(port, environment, said)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=_PATIENCE)
            process.stdout.close()


@contextmanager
def strict(folder: Path, issuer: str) -> Iterator[str]:
    """A gateway that allows each person one request a day: the base address of its FHIR API."""
    budget = {"person": "1 per day", "client": "1000 per day", "organisation": "1000 per day"}
    known = {"issuer": issuer, "audience": AUDIENCE, "algorithms": ["ES256"], "allow_insecure_loopback": True}
    running = Gateway(
        folder,
        issuer,
        [organisation("RJ2", "acute-trust", "http://127.0.0.1:9/fhir")],
        {"issuers": [known], "fair_use": {"requests": budget}},
    )
    running.configure()
    running.start()
    try:
        yield f"{running.base}/fhir/R4"
    finally:
        running.stop()

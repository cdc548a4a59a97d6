"""HAPI FHIR's own JPA server, from its released modules (hapi/pom.xml), in memory on a free port."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from tests.real.maven import KEPT, dependencies

SOURCE = Path(__file__).parent / "hapi"
PAGE = 20
"""The most that it puts on a page here, whatever _count asks for: so records take several pages."""
_SECONDS = 600


@dataclass
class Hapi:
    """A running one. `base` is its service base URL."""

    base: str
    pid: int

    def count(self, kind: str, nhs_number: str) -> int:
        """How many resources of a type it holds of a patient, by its own count."""
        asked = {
            "patient.identifier": f"https://fhir.nhs.uk/Id/nhs-number|{nhs_number}",
            "_summary": "count",
        }
        headers = {"Cache-Control": "no-cache"}
        answer = httpx2.get(f"{self.base}/{kind}", params=asked, headers=headers, timeout=30, trust_env=False)
        return int(answer.json()["total"])

    def put(self, resource: dict[str, Any]) -> None:
        """Record something, as the trust's own staff do."""
        where = f"{self.base}/{resource['resourceType']}/{resource['id']}"
        answer = httpx2.put(where, json=resource, timeout=30, trust_env=False)
        assert answer.status_code in (200, 201), answer.text

    def patient_id(self, nhs_number: str) -> str:
        """Its own id of a patient."""
        asked = {"identifier": f"https://fhir.nhs.uk/Id/nhs-number|{nhs_number}"}
        (entry,) = httpx2.get(f"{self.base}/Patient", params=asked, timeout=30, trust_env=False).json()["entry"]
        return str(entry["resource"]["id"])


@contextmanager
def running(folder: Path) -> Iterator[Hapi]:
    """HAPI, once it answers; it holds nothing yet."""
    state, log = folder / "hapi.port", folder / "hapi.log"
    command = [
        "java",
        "-Xmx900m",
        "-XX:TieredStopAtLevel=1",
        "-cp",
        _built(),
        "HapiServer",
        str(state),
        str(PAGE),
        str(PAGE),
    ]
    with log.open("wb") as lines:
        child = subprocess.Popen(command, stdout=lines, stderr=lines)
    try:
        until = time.monotonic() + _SECONDS
        while not state.exists():
            if child.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"HAPI did not start: {log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.2)
        yield Hapi(f"http://127.0.0.1:{state.read_text()}/fhir", child.pid)
    finally:
        child.kill()  # it keeps nothing
        child.wait()


def _built() -> str:
    """The class path, with HapiServer compiled against the jars."""
    jars = dependencies(SOURCE / "pom.xml", "hapi")
    classes = KEPT / "hapi-classes"
    classes.mkdir(exist_ok=True)
    compiler = ["javac", "-d", str(classes), "-cp", f"{jars}/*", str(SOURCE / "HapiServer.java")]
    subprocess.run(compiler, check=True, timeout=120)
    return f"{classes}:{jars}/*"

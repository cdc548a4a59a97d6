"""Real processes for tests and measurements: sources, the identity provider, the gateway, each as in the world."""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.sealed import new_master_key
from tests.boundless import BOUNDLESS, UNHURRIED

AUDIENCE = "tests"
SECTIONS = (
    *("demographics", "allergies", "medicines", "contacts"),
    *("results", "problems", "immunisations", "care-team"),
)


@contextmanager
def process(state: Path, *command: str, python: str = sys.executable) -> Iterator[str]:
    """A process that says in `state` that it is ready; it is ended when the block is left."""
    with told_process(state, *command, python=python) as (said, _):
        yield said


@contextmanager
def told_process(
    state: Path, *command: str, python: str = sys.executable, output: int | None = None
) -> Iterator[tuple[str, int]]:
    """The same, with its pid. `output` is where what it prints goes."""
    child = subprocess.Popen([python, "-m", *command], stdin=subprocess.PIPE, stdout=output)
    try:
        until = time.monotonic() + 180
        while not state.exists():
            if child.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"{command[0]} did not start")
            time.sleep(0.02)
        yield state.read_text(), child.pid
    finally:
        child.terminate()
        child.wait(timeout=60)
        if child.stdin:
            child.stdin.close()


@contextmanager
def identity_provider(folder: Path) -> Iterator[str]:
    """The demo identity provider: its issuer."""
    state = folder / "identity.json"
    command = ("gateway.demo.identity", "--port", "0", "--audience", AUDIENCE, "--state", str(state))
    with process(state, *command) as said:
        yield str(json.loads(said)["issuer"])


def organisation(ods: str, kind: str, address: str, **settings: Any) -> dict[str, Any]:
    """An entry of organisations.yaml that offers every section through `fhir_r4` and may take its time."""
    return {
        "ods": ods,
        "name": f"Organisation {ods}",
        "type": kind,
        "stage": "live",
        "connector": "fhir_r4",
        "address": address,
        "sections": list(SECTIONS),
        "budget": UNHURRIED,
        "settings": settings,
    }


@dataclass
class Gateway:
    """A gateway process that can be started again after it was killed."""

    folder: Path
    issuer: str
    organisations: list[dict[str, Any]] | None = None
    more: Mapping[str, Any] = field(default_factory=dict)
    port: int = field(default_factory=lambda: free_port())
    child: subprocess.Popen[bytes] | None = None
    workers: int = 1
    module: str = "gateway.cli"
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def pid(self) -> int:
        assert self.child is not None
        return self.child.pid

    def configure(self) -> None:
        """Write the key, the settings and the organisations."""
        new_master_key(self.folder / "master.key")
        issuer = {"issuer": self.issuer, "audience": AUDIENCE, "algorithms": ["ES256"], "allow_insecure_loopback": True}
        settings: dict[str, Any] = {
            "profile": "demo",
            "public_url": self.base,
            "data_dir": str(self.data),
            "key_file": str(self.folder / "master.key"),
            "issuers": [issuer],
            "fair_use": BOUNDLESS,
            "deadline": UNHURRIED,
            **self.more,
        }
        if self.organisations is not None:
            file = self.folder / "organisations.yaml"
            file.write_text(json.dumps({"organisations": self.organisations}))
            settings["organisations_file"] = str(file)
        (self.folder / "settings.yaml").write_text(json.dumps(settings))

    def start(self) -> None:
        """Start, and wait until it is ready."""
        command = [self.module, "serve", "--config", str(self.folder / "settings.yaml"), "--port", str(self.port)]
        if self.workers > 1:
            command += ["--workers", str(self.workers)]
        with (self.folder / "gateway.log").open("ab") as log_file:
            self.child = subprocess.Popen(
                [sys.executable, "-m", *command],
                stdout=log_file,
                stderr=log_file,
                env={**os.environ, **self.environment},
            )
        until = time.monotonic() + 180
        while not self._is_ready():
            if self.child.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"the gateway did not start: {(self.folder / 'gateway.log').read_text()[-2000:]}")
            time.sleep(0.02)

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.base}/readyz", timeout=10) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def kill(self) -> None:
        """SIGKILL: nothing is flushed, closed or said."""
        assert self.child is not None
        self.child.kill()
        self.child.wait(timeout=60)

    def wait_until_dead(self, seconds: float = 3) -> None:
        """Until it has ended; SIGKILL where it hasn't by then."""
        assert self.child is not None
        try:
            self.child.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.kill()

    def stop(self) -> None:
        """SIGTERM, and wait. Again is harmless."""
        assert self.child is not None
        self.child.terminate()
        self.child.wait(timeout=60)


@contextmanager
def gateway(
    folder: Path, issuer: str, organisations: list[dict[str, Any]] | None = None, **more: Any
) -> Iterator[Gateway]:
    """A running gateway, as `connectcare serve` runs it."""
    running = Gateway(folder, issuer, organisations, more)
    running.configure()
    running.start()
    try:
        yield running
    finally:
        running.stop()


def free_port() -> int:
    """A port that nobody listens on, and that the system gives to no connection meanwhile."""
    return free_ports(1)


def free_ports(count: int) -> int:
    """The first of so many ports in a row that nobody listens on, below those that the system gives away by itself."""
    for first in random.SystemRandom().sample(range(20_000, 30_000), 100):
        with ExitStack() as taken, suppress(OSError):
            for at in range(count):
                taken.enter_context(socket.create_server(("", first + at)))
            return first
    raise RuntimeError(f"no {count} free ports in a row")


def children(pid: int) -> list[int]:
    """The processes that a process started itself and that are alive."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with suppress(OSError):
                state, parent = (folder / "stat").read_text().rsplit(")", 1)[1].split()[:2]
                if int(parent) == pid and state != "Z":
                    found.append(int(folder.name))
    return sorted(found)


def resident_mb(pid: int) -> float:
    """Resident memory of a process now."""
    return _status_mb(pid, "VmRSS")


def _status_mb(pid: int, key: str) -> float:
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith(key))


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has used, all its threads together, to the nanosecond: CPUCLOCK_SCHED of Linux,
    which `clock_getcpuclockid` makes of a pid in the same way."""
    return time.clock_gettime((~pid << 3) | 2)


def forget_peak(pid: int) -> None:
    """From now on `peak_mb` tells of what comes."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def peak_mb(pid: int) -> float:
    """The most resident memory that a process had since `forget_peak`, as the kernel kept it."""
    return _status_mb(pid, "VmHWM")

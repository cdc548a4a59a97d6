"""Builds the native kernel and installs it beside the gateway; where that can't be done, says so and ends well.

    python kernel/build.py [--lock]

Nobody needs the kernel, so nothing fails without it; what runs is said when the gateway starts.

What the kernel depends on is pinned in `crates.lock` by version and SHA-256 hash: cargo's own lock without the lines
that name a registry. Those are put back for the build, as this machine's cargo writes them. `--lock` writes it anew.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
_PINNED: Final = HERE / "crates.lock"
_LOCK: Final = HERE / "Cargo.lock"
_WITHOUT: Final = "the gateway reads FHIR in Python, which costs more of the processor and nothing else."
_SOURCE: Final = re.compile(r'^source = ".*"\n', re.MULTILINE)
_CHECKSUM: Final = re.compile(r"^(?=checksum = )", re.MULTILINE)


def main() -> None:
    """Build it, or say why not."""
    if "--lock" in sys.argv[1:]:
        _PINNED.write_text(_SOURCE.sub("", _resolved()))
    elif shutil.which("cargo") is None:
        print(f"There is no cargo here, so the native kernel isn't built: {_WITHOUT}")
    else:
        try:
            _LOCK.write_text(with_sources(_PINNED.read_text(), _resolved()))
            _install()
        except subprocess.CalledProcessError:
            print(f"The native kernel doesn't build (see above): {_WITHOUT}")


def with_sources(pinned: str, resolved: str) -> str:
    """The pinned lock, with the line that names the registry for every crate that comes from one."""
    source = _SOURCE.search(resolved)
    return _CHECKSUM.sub(source[0] if source else "", pinned)


def _resolved() -> str:
    """What cargo makes of Cargo.toml today: it is asked for the registry's name, or for newer versions."""
    _LOCK.unlink(missing_ok=True)
    subprocess.run(["cargo", "generate-lockfile", "--quiet"], cwd=HERE, check=True)
    return _LOCK.read_text()


def _install() -> None:
    with tempfile.TemporaryDirectory() as wheels:
        build = [
            "maturin",
            "build",
            "--release",
            "--locked",
            "--quiet",
            "--interpreter",
            sys.executable,
            "--out",
            wheels,
        ]
        subprocess.run([sys.executable, "-m", *build], cwd=HERE, check=True)
        [wheel] = Path(wheels).glob("*.whl")
        install = ["pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--force-reinstall"]
        subprocess.run([sys.executable, "-m", *install, str(wheel)], check=True)


if __name__ == "__main__":
    main()

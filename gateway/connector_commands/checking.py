"""Starts the conformance kit. It is a process of its own, as in the demo: no gateway ever has the kit in it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


def run_kit(arguments: Sequence[str], root: Path | None = None) -> int:
    """Run `python -m connectors.kit.cli` to its end, its words on our own standard streams; returns its exit code."""
    command = [sys.executable, "-m", "connectors.kit.cli", *arguments]
    return subprocess.run(command, cwd=root, check=False).returncode  # noqa: S603 (our own module, no shell)

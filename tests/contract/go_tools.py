"""Helm and Compose's own reader, as their projects publish them: what is on the machine, or what Go builds of their
modules once, kept under build/tools."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.contract.deployed import ROOT

_TOOLS = ROOT / "build" / "tools"
_USUAL = Path("/usr/local/go/bin/go")
_SECONDS = 900


@dataclass(frozen=True)
class Tool:
    """`program` is its usual name; `module` is what Go builds, and `built` how Go names the result."""

    program: str
    module: str
    built: str


HELM = Tool("helm", "helm.sh/helm/v3/cmd/helm@v3.19.0", "helm")
COMPOSE = Tool("compose-spec", "github.com/compose-spec/compose-go/v2/cmd@v2.9.0", "cmd")


def found(tool: Tool) -> Path:
    """Where it is. Skips the test where it neither is nor can be made."""
    if there := shutil.which(tool.program):
        return Path(there)
    folder = _TOOLS / tool.module.rpartition("/")[2].replace("@", "-") / tool.program
    if not (folder / tool.built).exists():
        _build(tool, folder)
    return folder / tool.built


def _build(tool: Tool, folder: Path) -> None:
    go = shutil.which("go") or (str(_USUAL) if _USUAL.exists() else None)
    if go is None:
        pytest.skip(f"there is no {tool.program} on this machine, and no Go to build it with")
    environment = {**os.environ, "GOBIN": str(folder), "GOFLAGS": "-mod=mod", "CGO_ENABLED": "0"}
    try:
        subprocess.run([go, "install", tool.module], check=True, env=environment, timeout=_SECONDS)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"{tool.module} can't be built here: {error}")

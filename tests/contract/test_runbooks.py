"""Every command of a runbook exists with its options, and the restore drill is walked as it stands there."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from gateway.cli import app
from gateway.settings import Settings
from tests.clients.fences import fences, script
from tests.documents import ROOT
from tests.flow.stack import AALIYAH, GRACE, running
from tests.flow.test_audit_events import caught_up

RUNBOOKS = sorted((ROOT / "docs" / "runbooks").glob("*.md"))
DRILL = ROOT / "docs" / "runbooks" / "restore-drill.md"
NEEDED = {
    "key-rotation", "audit-outage", "source-outage", "break-glass-review", "restore-drill", "adding-an-organisation",
    "suspending-an-organisation",
}  # fmt: skip
COMMANDS = typer.main.get_command(app)
UsageError = typer.BadParameter.__bases__[0]
_ENDS = frozenset({">", ">>", "||", "&&", "|", ";"})


def commands(document: Path) -> Iterator[list[str]]:
    """What follows each `connectcare` of the blocks that are to be run."""
    for fence in fences(document.read_text(encoding="utf-8")):
        for line in fence.text.splitlines() if fence.language == "sh" else ():
            words = list(shlex.shlex(line, posix=True, punctuation_chars=True)) if "connectcare" in line else []
            if words[:1] == ["connectcare"]:
                yield _whole(line)


def _whole(line: str) -> list[str]:
    words = shlex.split(line)[1:]
    return words[: next((place for place, word in enumerate(words) if word in _ENDS), len(words))]


def parsed(words: list[str]) -> None:
    """As the command line itself reads them, up to running it. Raises UsageError."""
    command: Any = COMMANDS
    context = typer.Context(command, info_name="connectcare")
    while hasattr(command, "resolve_command"):
        name, command, words = command.resolve_command(context, words)
        context = typer.Context(command, parent=context, info_name=name)
    command.parse_args(context, list(words))


def test_there_is_one_for_each_day() -> None:
    names = {path.stem for path in RUNBOOKS} - {"README"}
    assert names == NEEDED
    told = (ROOT / "docs" / "runbooks" / "README.md").read_text()
    assert all(f"]({name}.md)" in told for name in names)


@pytest.mark.parametrize("runbook", [path for path in RUNBOOKS if path.stem != "README"], ids=lambda path: path.stem)
def test_every_command_exists_with_its_options(runbook: Path) -> None:
    found = list(commands(runbook))
    assert found
    for words in found:
        parsed(words)


@pytest.mark.parametrize(
    "words",
    ["audit verify --data x --keys y", "audit check", "choice opt-out --stated-by nobody --channel phone", "keys new"],
)
def test_a_command_that_there_is_not_is_found(words: str) -> None:
    with pytest.raises(UsageError):
        parsed(words.split())


@pytest.mark.parametrize("runbook", RUNBOOKS, ids=lambda path: path.stem)
def test_settings_doors_and_events_that_it_names_are_there(runbook: Path) -> None:
    text = runbook.read_text(encoding="utf-8")
    code = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "gateway").rglob("*.py"))
    events = set(re.findall(r"`((?:audit|checkpoint|keys|request|source|store|signin)\.[a-z.-]+)`", text))
    doors = set(re.findall(r"`(?:GET|POST) (/[a-z/_-]+)`", text))
    assert not {event for event in events if f'"{event}"' not in code}
    assert not {door for door in doors if f'"{door}"' not in code}
    settings = set(re.findall(r"`(audit_\w+|checkpoint_\w+|breaker_\w+|database\w*|key_file|data_dir)`", text))
    assert settings <= Settings.model_fields.keys()


async def _a_gateway_runs(folder: Path, sink: Path) -> None:
    async with running(folder, audit_sink=sink, canaries=False) as stack:
        await stack.agree(GRACE)
        assert (await stack.everything(GRACE)).status_code == 200
        await stack.choose(AALIYAH, "opted-out")
        assert await stack.parts.checkpointer.checkpoint()
        await caught_up(stack, await stack.parts.store.log_size(), "sink")


@pytest.fixture
async def drill(tmp_path: Path) -> dict[str, str]:
    """What the drill's first block asks for, of a gateway that ran."""
    data, sink = tmp_path / "data", tmp_path / "journal.jsonl"
    data.mkdir()
    await _a_gateway_runs(data, sink)
    public = tmp_path / "published.pub"
    public.write_bytes((data / "checkpoint.key.pub").read_bytes())
    places = {"DATA": data, "BACKUP": tmp_path / "backup", "RESTORED": tmp_path / "restored"}
    return {name: str(path) for name, path in {**places, "PUBLIC_KEY": public, "SINK": sink}.items()}


def walk(drill: dict[str, str], *, after: str = "") -> subprocess.CompletedProcess[str]:
    """Run all blocks of the drill; `after` is what happens between the back-up and its restoring."""
    instead = {"connectcare ": f"{shlex.quote(sys.executable)} -m gateway.cli ", "python3 -": f"{sys.executable} -"}
    text = script(DRILL.read_text(encoding="utf-8"), instead)
    begins = 'mkdir -p "$RESTORED/store"'
    assert text.count(begins) == 1
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text.replace(begins, f"{after}\n{begins}")],
        env={**os.environ, "PYTHONPATH": str(ROOT), **drill},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.mark.slow
async def test_the_restore_drill_is_walked(drill: dict[str, str]) -> None:
    done = walk(drill)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("4 rows: ")
    assert "4 rows compared, 0 behind" in done.stdout
    assert "lacks" not in done.stdout
    restored = Path(drill["RESTORED"])
    for name in ("master.key", "checkpoint.key"):
        (restored / name).write_bytes((Path(drill["DATA"]) / name).read_bytes())
        (restored / name).chmod(0o600)
    async with running(restored, canaries=False) as stack:
        assert (await stack.client.get("/readyz")).status_code == 200
        refused = await stack.everything(AALIYAH)
        assert (refused.status_code, "opted out" in refused.text) == (403, True)
        assert {row["kind"] for row in await stack.rows(GRACE)} >= {"intent", "release"}


@pytest.mark.slow
async def test_a_back_up_that_was_altered_fails_the_drill(drill: dict[str, str]) -> None:
    alter = (
        f"{shlex.quote(sys.executable)} -c 'import sqlite3, sys\n"
        "with sqlite3.connect(sys.argv[1]) as copy:\n"
        '    copy.execute("DROP TRIGGER sharing_choice_delete")\n'
        '    copy.execute("DELETE FROM sharing_choice")\n'
        '\' "$BACKUP/connect-care.sqlite3"'
    )
    done = walk(drill, after=alter)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "sharing" in done.stdout


@pytest.mark.slow
async def test_what_came_after_the_back_up_is_told_as_lost(drill: dict[str, str]) -> None:
    older = shutil.copytree(drill["DATA"], Path(drill["DATA"]).with_name("older"))
    await _a_gateway_runs(Path(drill["DATA"]), Path(drill["SINK"]))
    done = walk(drill | {"DATA": str(older)})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 rows" in done.stdout
    assert "differs from the store in row 5, 6, 7, 8" in done.stdout
    assert "the copy holds rows that the restored store lacks" in done.stdout

"""The guides' commands are run as they stand there, each guide against a demo as a reader has it."""

from __future__ import annotations

import ast
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.search.page import CURSOR_SECONDS, EVERYTHING_PAGE, SEARCH_PAGE
from gateway.search.results import MAX_COUNT
from gateway.settings import Settings
from tests.clients.fences import fences, script
from tests.clients.installed import NoRegistry, install
from tests.clients.world import Demo, demo

ROOT = Path(__file__).resolve().parents[2]
GUIDES = sorted((ROOT / "docs" / "clients").glob("*.md"))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with demo(tmp_path_factory.mktemp("guides")) as started:
        yield started


@pytest.fixture(scope="module")
def node() -> str:
    """Node.js of the clients' environment, or of this machine where no registry answers."""
    try:
        return str(install().node)
    except NoRegistry as error:
        return shutil.which("node") or pytest.skip(f"no registry answers, and there is no Node.js here: {error}")


def _run(guide: str, running: Demo, folder: Path, node: str = "node") -> str:
    instead = {
        ":8000": f":{running.port}",
        ".venv/bin/connectcare": f"{shlex.quote(sys.executable)} -m gateway.cli",
        ".venv/bin/python": shlex.quote(sys.executable),
        "node resus.mjs": f"{shlex.quote(node)} resus.mjs",
    }
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script((ROOT / "docs" / "clients" / guide).read_text(), instead)],
        cwd=folder,
        env=running.environment | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    for file in folder.iterdir():
        file.unlink()  # what a reader saved for themselves; nothing clinical may be found after a test
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.mark.slow
def test_the_ehr_engineers_guide(running: Demo, tmp_path: Path) -> None:
    said = _run("ehr-engineer.md", running, tmp_path)
    assert f'"authorization_endpoint":"{running.issuer}/authorize"' in said.replace('": "', '":"')
    assert "Ask the patient, then POST /permissions" in said
    assert '"basis":"patient-agreed"' in said
    counted = re.findall(r"(\d+) of (\d+) results", said)
    assert len(counted) == 2
    assert all(0 < int(found) == int(total) for found, total in counted)
    assert re.findall(r'(\d) "status":"(\d{3}) ', said) == [("2", "200"), ("1", "404")]
    before, _, after = said.partition("G85005 is broken")
    assert "South Lewisham Group Practice (G85005): answered\n" in before
    assert "MISSING" not in before
    assert "South Lewisham Group Practice (G85005): failed MISSING: results" in after
    assert int(counted[1][0]) < int(counted[0][0])


@pytest.mark.slow
def test_the_ae_application_developers_guide(running: Demo, tmp_path: Path, node: str) -> None:
    said = _run("ae-app-developer.md", running, tmp_path, node)
    assert '"total":1' in said
    assert '"basis":"patient-agreed"' in said
    assert '"basis":"best-interests"' in said
    well, _, rest = said.partition("G85005 is broken")
    silent, _, nobody = rest.partition("RJ2 is broken")
    assert "Known allergies\n" in well
    assert "WARNING" not in well
    assert "WARNING South Lewisham Group Practice: allergies missing from this answer" in silent
    assert "No known allergies" not in silent
    assert "Allergies unavailable" in silent
    assert "nothing may be shown" in nobody


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.stem)
def test_what_the_guides_save_and_run_is_well_formed(guide: Path) -> None:
    found = fences(guide.read_text())
    assert {fence.language for fence in found} <= {"", "sh", "python", "js"}
    for fence in found:
        if fence.language == "python":
            ast.parse(fence.text)
    bash = shutil.which("bash")
    if bash:
        subprocess.run([bash, "-n", "-c", script(guide.read_text(), {})], check=True, env=dict(os.environ))


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.stem)
def test_the_numbers_that_the_guides_name_are_the_gateways(guide: Path) -> None:
    text = guide.read_text().replace(",", "")
    assert f"{SEARCH_PAGE} matches" in text
    assert f"{CURSOR_SECONDS // 60} minutes" in text
    assert f"{EVERYTHING_PAGE}" in text
    assert f"{MAX_COUNT}" in text
    hours = {8: "eight hours", 1: "one"}
    assert hours[int(Settings.model_fields["permission_hours"].default)] in text
    assert hours[int(Settings.model_fields["best_interests_hours"].default)] in text


def test_a_block_that_nobody_would_save_is_refused() -> None:
    with pytest.raises(ValueError, match="no line says to save"):
        script("```python\nprint()\n```\n", {})

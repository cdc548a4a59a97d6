"""Both compose files as the Compose Specification's own reader takes them."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.contract.deployed import DEPLOY, ROOT, production, services
from tests.contract.go_tools import COMPOSE, found
from tests.contract.test_production_compose import FOLDERS, IMAGES

pytestmark = pytest.mark.slow

TOLD = {
    "RUN_AS": "10001:10001",
    **dict.fromkeys(IMAGES, f"image@sha256:{'0' * 64}"),
    **dict.fromkeys(FOLDERS, "/nowhere"),
}


@pytest.fixture(scope="module")
def compose() -> Path:
    return found(COMPOSE)


def filled_in(text: str, told: Mapping[str, str]) -> str:
    """The variables by their values. The reader's command leaves them as they are, and takes none but the file's own.
    Raises KeyError for one that nobody told."""

    def value(found: re.Match[str]) -> str:
        name, kind, otherwise = found.groups()
        return told.get(name, otherwise) if kind == "-" else told[name]

    return re.sub(r"\$\{([A-Z_]+):([-?])([^}]*)\}", value, text)


def read(compose: Path, file: Path, folder: Path, told: Mapping[str, str]) -> dict[str, Any]:
    copy = folder / "compose.yaml"
    copy.write_text(filled_in(file.read_text(encoding="utf-8"), told))
    done = subprocess.run(
        [compose, "-format", "json", str(copy)],
        check=False,
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"]},
        cwd=file.parent,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_the_demonstration_is_valid(compose: Path, tmp_path: Path) -> None:
    model = read(compose, ROOT / "compose.yaml", tmp_path, {"RUN_AS": "1000:1000"})
    assert set(model["services"]) == set(services())
    assert {one["user"] for one in model["services"].values()} == {"1000:1000"}


def test_a_small_production_is_valid(compose: Path, tmp_path: Path) -> None:
    model = read(compose, DEPLOY / "production" / "compose.yaml", tmp_path, TOLD)
    assert set(model["services"]) == set(production()["services"])
    for service in model["services"].values():
        assert "@sha256:" in service["image"]
        sources = [Path(one["source"]) for one in service.get("volumes", []) if one["type"] == "bind"]
        assert all(source.is_file() or str(source) == "/nowhere" for source in sources)


def test_a_wrong_key_is_found(compose: Path, tmp_path: Path) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text((ROOT / "compose.yaml").read_text().replace("read_only: true", "read_onyl: true"))
    with pytest.raises(AssertionError, match="read_onyl"):
        read(compose, file, tmp_path, {"RUN_AS": "1000:1000"})

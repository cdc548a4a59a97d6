"""The Helm chart as files, and as Helm renders it."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests.contract.deployed import DEPLOY

CHART = DEPLOY / "helm" / "connect-care"
EXAMPLE = CHART / "examples" / "trust.yaml"


def read(file: Path) -> dict[str, Any]:
    """A YAML file that holds one mapping, as Helm reads it: a date is a text."""
    text = json.dumps(YAML(typ="safe").load(file.read_text(encoding="utf-8")), default=str)
    return dict(json.loads(text))


@cache
def schema() -> dict[str, Any]:
    return dict(json.loads((CHART / "values.schema.json").read_text(encoding="utf-8")))


def merged(*layers: dict[str, Any]) -> dict[str, Any]:
    """As Helm merges values: mappings by key, everything else whole."""
    found: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            both = isinstance(value, dict) and isinstance(found.get(key), dict)
            found[key] = merged(found[key], value) if both else value
    return found


def example(**more: Any) -> dict[str, Any]:
    """All values of the example, changed as `more` says."""
    return merged(read(CHART / "values.yaml"), read(EXAMPLE), more)

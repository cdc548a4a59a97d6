"""compose.yaml and the files that it mounts, as text: there is no engine here to run them."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
REALM = DEPLOY / "keycloak" / "connect-care-realm.json"
PROXY_ADDRESS = "172.30.44.10"


@cache
def compose() -> dict[str, Any]:
    """The whole file, its anchors merged."""
    return _yaml(ROOT / "compose.yaml")


def services() -> dict[str, dict[str, Any]]:
    return dict(compose()["services"])


@cache
def production() -> dict[str, Any]:
    """The small production."""
    return _yaml(DEPLOY / "production" / "compose.yaml")


@cache
def gateway_settings() -> dict[str, Any]:
    return _yaml(DEPLOY / "gateway" / "settings.yaml")


@cache
def realm() -> dict[str, Any]:
    return dict(json.loads(REALM.read_text(encoding="utf-8")))


def _yaml(file: Path) -> dict[str, Any]:
    return dict(YAML(typ="safe").load(file.read_text(encoding="utf-8")))

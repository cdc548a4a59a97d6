"""What docs/sign-on.md shows works: its settings start a gateway, its assertion signs somebody in."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from gateway.caller.floors import IN_PRODUCTION
from gateway.caller.mapping import Preset
from gateway.caller.role_profiles import IN_ROLE
from gateway.caller.scopes import read_scopes
from gateway.caller.settings import IssuerSettings
from gateway.settings import load_settings
from tests.unit.test_claim_mappings import ASSERTION, Issuer

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "sign-on.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("block", blocks("yaml"))
def test_each_setting_in_the_guide_is_one(block: str, tmp_path: Path) -> None:
    shown: dict[str, Any] = YAML(typ="safe").load(block)
    issuer = {"issuer": "https://login.example", "audience": "connect-care", "algorithms": ["ES256"]}
    given = {
        "public_url": "https://connectcare.example",
        "data_dir": tmp_path,
        "key_file": tmp_path / "key",
        "checkpoint_key": tmp_path / "checkpoint",
        "audit_sink": tmp_path / "sink",
        "issuers": [issuer],
        **shown,
    }
    settings = load_settings(None, **given)
    if "sign_in_floors" in shown:
        assert settings.floors == IN_PRODUCTION  # the guide says that these are production's own
    else:
        assert len(settings.issuers) == len(shown["issuers"])


def test_the_guide_names_every_preset_and_place() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    places = [
        "user_id",
        "name",
        "roles",
        "selected_role",
        "purpose",
        "scope",
        "acr",
        "auth_time",
        "patient",
        "client_id",
    ]
    for name in (*Preset, *places, *IN_ROLE):
        assert f"`{name}`" in text, name
    assert set(IssuerSettings.model_fields) >= {"userinfo_uri", "claims", "acr", "organisations"}


async def test_the_assertion_in_the_guide_signs_somebody_in() -> None:
    (block,) = blocks("json")
    claims = json.loads(block)
    supplier = Issuer("ehr-assertion", organisations=("G85005",))
    now = {name: claims[name] - claims["iat"] + 1_800_000_000 for name in ("iat", "exp", "auth_time")}
    ours = {"iss": supplier.settings.issuer, "aud": supplier.settings.audience}
    caller = await supplier.identify({**claims, **now, **ours}, ASSERTION)
    assert (caller.organisation, caller.user_id, caller.acr) == ("G85005", "555111222333", "AAL3")


def test_the_scopes_in_the_guide_do_what_it_says() -> None:
    text = GUIDE.read_text(encoding="utf-8").replace("\\|", "|")
    scopes = set(re.findall(r"`(user/[^`…]+)`", text))
    assert len(scopes) >= 4
    for scope in scopes:
        assert read_scopes(frozenset({scope})).lets_read("Observation"), scope

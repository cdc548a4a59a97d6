"""What docs/tokens.md says holds: its settings start a gateway, its numbers and its rules are the code's."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import pytest
from ruamel.yaml import YAML

from gateway.api.logout import PATH
from gateway.caller.certificate import _MOST_ADDRESSES
from gateway.caller.dpop import AHEAD, ALGORITHMS, LASTS
from gateway.caller.keys import KeyTimes
from gateway.caller.tokens import LONGEST_LIFE_SECONDS
from gateway.settings import load_settings

ROOT: Final = Path(__file__).resolve().parents[2]
GUIDE: Final = (ROOT / "docs" / "tokens.md").read_text(encoding="utf-8")
BLOCKS: Final = re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS)
def test_each_setting_in_the_guide_is_one(block: str, tmp_path: Path) -> None:
    shown: dict[str, Any] = YAML(typ="safe").load(block)
    settings = load_settings(
        None,
        **{
            "public_url": "https://connectcare.example",
            "data_dir": tmp_path,
            "key_file": tmp_path / "key",
            "checkpoint_key": tmp_path / "checkpoint",
            "audit_sink": tmp_path / "sink",
            "issuers": [{"issuer": "https://login.example", "audience": "connect-care", "algorithms": ["ES256"]}],
            **shown,
        },
    )
    assert settings.sender_must_prove


def test_the_numbers_are_those_of_the_code() -> None:
    times = KeyTimes()
    for said in (
        f"at most {LASTS:.0f} seconds old, at most {AHEAD:.0f} ahead",
        f"longer than {LONGEST_LIFE_SECONDS / 3600:.0f} hours after `iat`",
        f"within {times.between:.0f} seconds of its publication, a removed one refused within {times.fresh:.0f}",
        f"a network of at most {_MOST_ADDRESSES} addresses",
        f"({', '.join(ALGORITHMS[:-1])} or {ALGORITHMS[-1]})",
        f"`POST {PATH}`",
    ):
        assert said in GUIDE, said


def test_every_rule_in_the_guide_is_one_of_the_code() -> None:
    table = GUIDE.split("## When a client is refused")[1]
    named = {
        rule for line in table.splitlines() if line.startswith("| `") for rule in re.findall(r"`([a-z.-]+)`", line)
    }
    rules = {rule for rule in named if rule.split(".")[0] in ("token", "dpop", "certificate")}
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "gateway" / "caller").glob("*.py"))
    assert len(rules) >= 10
    assert {rule for rule in rules if f'"{rule}"' not in code} == set()

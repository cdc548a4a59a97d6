"""Every refusal that the code can make has words in which it is explained."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

import gateway
from gateway.audit.row import Kind, Row, Who
from gateway.choice.model import Basis
from gateway.explain.circumstances import circumstances_of, place_of
from gateway.explain.doors import action_of
from gateway.explain.sentences import said_of
from gateway.policy.decide import Policy
from gateway.policy.filter import MISPLACED, UNSHOWABLE
from gateway.register.standing import Hold
from gateway.settings import Settings
from gateway.store.moments import utc_now

ROOT = Path(gateway.__file__).parent
RULE = re.compile(r"""rule=f?"([a-z][a-z.{}-]+)\"""")


def rules_in_the_code() -> list[str]:
    found = {rule for path in ROOT.rglob("*.py") for rule in RULE.findall(path.read_text())}
    return sorted({*found, MISPLACED, UNSHOWABLE, *(hold.value for hold in Hold)})


def test_every_rule_of_the_code_has_words() -> None:
    rules = rules_in_the_code()
    assert len(rules) > 60
    assert [rule for rule in rules if said_of(rule) is None] == []


def test_a_rule_that_nobody_knows_has_none() -> None:
    assert said_of("nobody.knows") is None


WHO = Who(
    issuer="https://issuer.example",
    user_id="555",
    name="Asha Rahman",
    role_profile_id="556",
    job_role_code="R0260",
    role="gp",
    organisation="G85005",
    organisation_name="South Lewisham Group Practice",
    organisation_type="gp-practice",
    client_id="viewer",
    purpose="TREAT",
    acr="",
    token_id="",
)


def row(kind: Kind, **more: object) -> Row:
    return Row(kind=kind, request_id="r", at=utc_now(), door="GET /x", **({"who": WHO} | more))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("made", "action"),
    [
        (row(Kind.RELEASE), "open-record"),
        (row(Kind.DISCLOSURE), "disclose"),
        (row(Kind.PERSON_ANSWERED), "find-person"),
        (row(Kind.SHARING_CHOICE), "record-sharing-choice"),
        (row(Kind.SHARING_CHOICE, who=msgspec.structs.replace(WHO, role="patient")), "record-own-choice"),
        (row(Kind.PERMISSION_GRANTED, basis=Basis.BEST_INTERESTS.value), "ask-best-interests"),
        (row(Kind.PERMISSION_EXTENDED, basis=Basis.PATIENT_AGREED.value), "ask-permission"),
        (row(Kind.PERMISSION_GRANTED), None),
        (row(Kind.REFUSAL, detail="policy refused read-audit"), "read-audit"),
        (row(Kind.REFUSAL, detail="policy refused read-audit; or so"), None),
        (row(Kind.INTENT), None),
    ],
)
def test_a_row_says_by_which_door(made: Row, action: str | None) -> None:
    assert action_of(made) == action


def test_words_that_are_not_used_any_more_explain_nothing() -> None:
    policy = Policy.load(Settings.model_fields["policies_dir"].default)
    for changes in ({"role": "wizard"}, {"organisation_type": "moon-base"}, {"role": ""}):
        strange = row(Kind.RELEASE, who=msgspec.structs.replace(WHO, **changes))
        assert place_of(strange) is None
        assert circumstances_of(strange, policy) is None
    assert circumstances_of(row(Kind.RELEASE, basis="by-magic"), policy) is None
    assert circumstances_of(row(Kind.RELEASE, scope="all"), policy) is None
    assert place_of(row(Kind.REFUSAL, who=None)) is None

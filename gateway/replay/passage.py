"""Steps 7 to 9 for one answer that is here already, noting what each step let through.

Nothing is asked, journalled or released here. It is for accounts (`account.py`): the steps change items in place and
leave out what may not be shown, so whoever wants to know where something stayed must look on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from connectors.sdk.model import Answer, Ask, Gap, Item, Outcome, Section
from gateway.audit.row import Alarm
from gateway.caller.model import Caller
from gateway.choice.model import Permission
from gateway.errors import GatewayError
from gateway.guard import guard
from gateway.known import require_patient
from gateway.locate import Located
from gateway.merge import Merger, Record
from gateway.register.standing import Hold, take
from gateway.shown import Shown
from gateway.view import View


@dataclass(frozen=True, slots=True)
class Steps:
    """The parts that the steps need, for one caller with one permission."""

    merger: Merger
    view: View
    caller: Caller
    permission: Permission
    address_of: Callable[[str], str]


@dataclass(slots=True)
class Passage:
    """One answer on its way.

    `came`, `passed` and `merged` are the items that the connector handed over, that the guard let through, and that
    are in the record; each is the same object in all of them. `outcome` and `gaps` are the connector's own, before any
    step changes them. `contained` are the ids of the contained resources of each item, by `id()`. `shown` is None where
    the answer was `refused` as a whole.
    """

    answer: Answer
    ask: Ask
    steps: Steps
    came: list[Item]
    outcome: Outcome
    gaps: dict[Section, Gap]
    contained: dict[int, frozenset[str]]
    passed: list[Item] = field(default_factory=list)
    alarms: list[Alarm] = field(default_factory=list)
    hold: Hold | None = None
    merged: list[Item] = field(default_factory=list)
    record: Record | None = None
    shown: Shown | None = None
    refused: GatewayError | None = None


def pass_through(answer: Answer, located: Located, steps: Steps) -> Passage:
    """Take an answer through guard, merge and policy. Raises nothing for what a source sent."""
    ask, look = located.asks[answer.source], located.look
    came = list(answer.items)
    passage = Passage(answer, ask, steps, came, answer.outcome, dict(answer.gaps), _contained(came))
    guarded = guard([answer], located.asks, steps.address_of)
    passage.alarms, passage.passed = guarded.alarms, list(answer.items)
    try:
        standing = take(guarded, located, steps.view.restricts)
        passage.hold = standing.hold
        record = steps.merger.merge(guarded, located.asks, look.nhs_number, look.sections, standing)
        passage.record, passage.merged = record, list(record.items)
        require_patient(record, look)
        passage.shown = steps.view.of(record, steps.caller, steps.permission, look)
    except GatewayError as error:
        passage.refused = error
    return passage


def _contained(items: list[Item]) -> dict[int, frozenset[str]]:
    found: dict[int, frozenset[str]] = {}
    for item in items:
        parts = item.resource.get("contained")
        if isinstance(parts, list):
            found[id(item)] = frozenset(str(part.get("id", "")) for part in parts if isinstance(part, dict))
    return found

"""Connectors that nobody should write: one that is always broken, and one for each trick that a hostile one could play.

They prove that whatever a connector does costs its own organisation's part alone. They are no connectors that
`organisations.yaml` could name: tests put them in the place of one. What no trick here does is block the process or end
it: a connector runs inside the gateway, and is code that somebody has read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any, Final

from connectors.sdk.errors import NoRecord, TooMuch, Unreachable
from connectors.sdk.model import (
    NHS_NUMBER_SYSTEM,
    SECTION_OF_TYPE,
    Answer,
    Ask,
    Gap,
    Item,
    Outcome,
    Resource,
    Section,
    SourceWarning,
    Traced,
)

MARK: Final = "HOSTILE-c41f7e"
"""Stands in everything that a trick brings, so that a plain search shows whether any of it got through."""
SOMEBODY_ELSE: Final = "9990009996"

Trick = Callable[["Hostile", Ask], Awaitable[Any]]


class Broken:
    """A connector that never answers anything."""

    async def ask(self, ask: Ask) -> Answer:
        """Always Unreachable."""
        raise Unreachable("always broken")

    async def aclose(self) -> None:
        """Even this fails."""
        raise OSError("always broken")


class Hostile:
    """A connector that plays one trick, as the source `source`. `victim` is another organisation's code."""

    def __init__(self, source: str, trick: str, victim: str = "RJ2") -> None:
        self.source = source
        self.victim = victim
        self._trick = TRICKS[trick]

    async def ask(self, ask: Ask) -> Any:
        """Whatever the trick makes of it."""
        return await self._trick(self, ask)

    async def aclose(self) -> None:
        """Closes nothing, and says so with the wrong kind of error."""
        raise ValueError(MARK)

    def item(self, resource: Resource, **more: Any) -> Item:
        """An item of this source, as it ought to be but for what is given."""
        section = SECTION_OF_TYPE.get(str(resource.get("resourceType")))
        given = {"source": self.source, "section": section, "original_id": str(resource.get("id", ""))}
        return Item(resource=resource, **{**given, **more})

    def answer(self, *items: Any, **more: Any) -> Answer:
        """An answer with these items, that says that it is whole."""
        return Answer(**{"source": self.source, "outcome": Outcome.ANSWERED, "items": list(items), **more})

    def patient(self, nhs_number: str, identity: str = "p") -> Item:
        """A Patient who carries the number."""
        identifier = [{"system": NHS_NUMBER_SYSTEM, "value": nhs_number}]
        return self.item(
            {"resourceType": "Patient", "id": identity, "identifier": identifier, "name": [{"text": MARK}]}
        )

    def allergy(self, number: int | str = 1, identity: str = "p", **more: Any) -> Item:
        """An allergy of the Patient with that id."""
        return self.item(_allergy(number, identity, **more))


def _allergy(number: int | str, identity: str, **more: Any) -> Resource:
    return {
        "resourceType": "AllergyIntolerance",
        "id": f"a{number}",
        "code": {"text": MARK},
        "patient": {"reference": f"Patient/{identity}"},
        **more,
    }


TRICKS: Final[dict[str, Trick]] = {}


def _trick(play: Trick) -> Trick:
    TRICKS[getattr(play, "__name__", "").strip("_").replace("_", "-")] = play
    return play


# ---- it doesn't answer ----


@_trick
async def _raises_with_the_number(self: Hostile, ask: Ask) -> Any:
    raise KeyError(f"{MARK} {ask.nhs_number}")


@_trick
async def _raises_a_group(self: Hostile, ask: Ask) -> Any:
    raise ExceptionGroup(MARK, [ValueError(ask.nhs_number), RecursionError()])


@_trick
async def _raises_too_deep(self: Hostile, ask: Ask) -> Any:
    return await _raises_too_deep(self, ask)


@_trick
async def _cancels_itself(self: Hostile, ask: Ask) -> Any:
    raise asyncio.CancelledError(MARK)


@_trick
async def _never_answers(self: Hostile, ask: Ask) -> Any:
    await asyncio.Event().wait()


@_trick
async def _swallows_its_cancellation(self: Hostile, ask: Ask) -> Any:
    until = ask.deadline + 1.0
    while (left := until - asyncio.get_running_loop().time()) > 0:
        try:
            await asyncio.sleep(left)
        except asyncio.CancelledError:
            continue
    return self.answer(self.patient(ask.nhs_number))


@_trick
async def _says_unknown_with_the_number(self: Hostile, ask: Ask) -> Any:
    raise TooMuch(f"{MARK} {ask.nhs_number}") from NoRecord(ask.nhs_number)


# ---- it answers with no answer ----


@_trick
async def _returns_nothing(self: Hostile, ask: Ask) -> Any:
    return None


@_trick
async def _returns_json(self: Hostile, ask: Ask) -> Any:
    return {"source": self.source, "outcome": "answered", "items": [_allergy(1, "p")]}


@_trick
async def _returns_itself(self: Hostile, ask: Ask) -> Any:
    return self


@_trick
async def _returns_items_of_no_kind(self: Hostile, ask: Ask) -> Any:
    return self.answer(self.patient(ask.nhs_number), None, MARK, {"resourceType": "Patient"})


@_trick
async def _returns_no_list(self: Hostile, ask: Ask) -> Any:
    return self.answer(self.patient(ask.nhs_number), items=None)


@_trick
async def _returns_an_outcome_of_its_own(self: Hostile, ask: Ask) -> Any:
    return self.answer(self.patient(ask.nhs_number), outcome=MARK)


@_trick
async def _returns_gaps_of_its_own(self: Hostile, ask: Ask) -> Any:
    return self.answer(self.patient(ask.nhs_number), gaps=[MARK])


@_trick
async def _names_gaps_that_do_not_exist(self: Hostile, ask: Ask) -> Any:
    return self.answer(self.patient(ask.nhs_number), gaps={MARK: MARK})


@_trick
async def _names_warnings_that_are_none(self: Hostile, ask: Ask) -> Any:
    return self.answer(self.patient(SOMEBODY_ELSE), warnings=[None, MARK], traced=[None])


@_trick
async def _says_nothing_that_is_a_word(self: Hostile, ask: Ask) -> Any:
    return self.answer(self.patient(SOMEBODY_ELSE), told=7, detail=None, calls=MARK, includes=None, took_ms=MARK)


@_trick
async def _answers_unknown_with_odd_words(self: Hostile, ask: Ask) -> Any:
    odd: dict[str, Any] = {"told": 7, "detail": None, "warnings": None, "traced": MARK, "includes": 7, "calls": None}
    return self.answer(outcome=Outcome.NO_RECORD, **odd)


# ---- it lies about whose and where from ----


@_trick
async def _answers_for_another_source(self: Hostile, ask: Ask) -> Any:
    return Answer(self.victim, Outcome.NO_RECORD)


@_trick
async def _labels_items_as_anothers(self: Hostile, ask: Ask) -> Any:
    forged = self.item(_allergy(1, "p"), source=self.victim)
    return self.answer(self.patient(ask.nhs_number), forged)


@_trick
async def _brings_somebody_else(self: Hostile, ask: Ask) -> Any:
    return self.answer(self.patient(SOMEBODY_ELSE), self.allergy())


@_trick
async def _mixes_somebody_else_in(self: Hostile, ask: Ask) -> Any:
    other = self.patient(SOMEBODY_ELSE, "q")
    return self.answer(self.patient(ask.nhs_number), self.allergy(), other, self.allergy(2, "q"))


@_trick
async def _hides_somebody_else_inside(self: Hostile, ask: Ask) -> Any:
    other = self.patient(SOMEBODY_ELSE, "q").resource
    return self.answer(self.patient(ask.nhs_number), self.allergy(contained=[{**other, "contained": [other]}]))


@_trick
async def _brings_two_of_the_same(self: Hostile, ask: Ask) -> Any:
    return self.answer(self.patient(ask.nhs_number), self.patient(ask.nhs_number, "q"), self.allergy(1, "q"))


@_trick
async def _brings_nobody(self: Hostile, ask: Ask) -> Any:
    return self.answer(self.allergy())


@_trick
async def _moves_items_between_sections(self: Hostile, ask: Ask) -> Any:
    forged = self.item(_allergy(1, "p"), section=Section.DEMOGRAPHICS)
    return self.answer(forged, self.item(_allergy(2, "p"), section=None))


@_trick
async def _says_unknown_and_brings_items(self: Hostile, ask: Ask) -> Any:
    return self.answer(self.patient(ask.nhs_number), self.allergy(), outcome=Outcome.NO_RECORD)


@_trick
async def _says_failed_and_brings_items(self: Hostile, ask: Ask) -> Any:
    gaps = dict.fromkeys(ask.sections, Gap.FAILED)
    return self.answer(self.patient(SOMEBODY_ELSE), self.allergy(), outcome=Outcome.FAILED, gaps=gaps)


# ---- what it brings can't be handled ----


@_trick
async def _brings_a_circle(self: Hostile, ask: Ask) -> Any:
    item = self.allergy()
    item.resource["extension"] = [item.resource]
    return self.answer(self.patient(ask.nhs_number), item)


@_trick
async def _brings_a_well(self: Hostile, ask: Ask) -> Any:
    bottom: Any = {"text": MARK}
    for _ in range(5_000):
        bottom = {"extension": [bottom]}
    return self.answer(self.patient(ask.nhs_number), self.allergy(extension=[bottom]))


@_trick
async def _brings_a_crowd(self: Hostile, ask: Ask) -> Any:
    return self.answer(self.patient(ask.nhs_number), *(self.allergy(number) for number in range(12_000)))


class _Trap(dict[str, Any]):
    """A dict that fails when it is looked at."""

    def _spring(self, *args: Any) -> Any:
        raise RuntimeError(MARK)

    __getitem__ = get = items = values = keys = __iter__ = _spring


@_trick
async def _brings_a_trap(self: Hostile, ask: Ask) -> Any:
    trapped = Item(self.source, {"resourceType": "AllergyIntolerance"}, Section.ALLERGIES, "a1")
    trapped.resource = _Trap(_allergy(1, "p"))
    return self.answer(self.patient(ask.nhs_number), trapped)


@_trick
async def _brings_no_resource(self: Hostile, ask: Ask) -> Any:
    empty = Item(self.source, {}, Section.ALLERGIES, "a1")
    empty.resource = None  # type: ignore[assignment]
    return self.answer(self.patient(ask.nhs_number), empty)


@_trick
async def _brings_a_reference_to_nothing(self: Hostile, ask: Ask) -> Any:
    return self.answer(self.patient(ask.nhs_number), self.allergy(patient=MARK), self.allergy(2, patient=[MARK]))


@_trick
async def _brings_values_that_json_has_not(self: Hostile, ask: Ask) -> Any:
    odd = {"when": asyncio.get_running_loop(), "nan": Decimal("NaN"), "set": {MARK}}
    return self.answer(self.patient(SOMEBODY_ELSE), self.allergy(extension=[odd]))


@_trick
async def _brings_words_of_its_own(self: Hostile, ask: Ask) -> Any:
    warnings = [SourceWarning(Section.ALLERGIES, MARK, f"<script>{MARK}</script>")]
    traced = [Traced(f"{MARK}\r\nSet-Cookie: {MARK}", reason=MARK)]
    return self.answer(self.patient(SOMEBODY_ELSE), warnings=warnings, traced=traced, detail=f"{MARK} {ask.nhs_number}")

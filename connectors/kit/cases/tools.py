"""What several cases ask of an answer."""

from __future__ import annotations

from connectors.kit.exchange import Exchange, Fault
from connectors.kit.fault_server import well
from connectors.kit.registry import require
from connectors.kit.stand import GRACE, PLENTY, Settled, Stand
from connectors.sdk.errors import SourceError
from connectors.sdk.model import Outcome, Section

Keys = set[tuple[str, str]]


def keys(settled: Settled, section: Section | None) -> Keys:
    """The type and original id of each item of a section."""
    return {(item.type, item.original_id) for item in settled.of_section(section)}


def failed_whole(
    settled: Settled, outcome: Outcome = Outcome.FAILED, kinds: tuple[type[SourceError], ...] = (SourceError,)
) -> None:
    """Nothing came and it says so: an error of one of these kinds, or an answer with this outcome and no items."""
    said = settled.in_words
    require(settled.outcome is outcome, f"{said}, where {outcome.value} is due")
    if settled.error is not None:
        wanted = " or ".join(kind.__name__ for kind in kinds)
        require(isinstance(settled.error, kinds), f"{said}, where {wanted} is due")
    require(not settled.items, f"{said}: it shows something of an answer that can't be used")


def nothing_lost_silently(stand: Stand, before: Settled, now: Settled) -> int:
    """Every section that brings less than when all was well has a gap. Returns how many sections do."""
    if now.error is not None:
        require(now.outcome is not Outcome.NO_RECORD, "said that the patient isn't known, after finding them")
        return len(stand.subject.sections)
    lost = [section for section in sorted(stand.subject.sections) if keys(before, section) - keys(now, section)]
    for section in lost:
        silent = f"{now.in_words}: {section.value} lost items without a gap, and would be read as complete"
        require(section in now.gaps or (now.outcome.leaves_gap and not now.gaps), silent)
    return len(lost)


def all_but_first(before: Settled, fault: Fault) -> Fault:
    """The fault in every call but the question with which the connector began: that one is answered truly."""
    opening = before.requests[0].key

    async def play(exchange: Exchange) -> None:
        await (well if exchange.request.key == opening else fault)(exchange)

    return play


async def withstands(
    stand: Stand,
    fault: Fault,
    outcome: Outcome = Outcome.FAILED,
    kinds: tuple[type[SourceError], ...] = (SourceError,),
    *,
    seconds: float = PLENTY,
) -> str:
    """In every call, the fault is a failure of the whole; in all calls but the first, a gap where something is lost."""
    before = await stand.well()
    stand.server.fault = fault
    settled = await stand.ask(seconds=seconds)
    require(settled.requests, "asked nothing")
    in_time(settled, seconds)
    failed_whole(settled, outcome, kinds)
    said = settled.in_words
    if len(before.requests) > 1:
        stand.server.fault = all_but_first(before, fault)
        now = await stand.ask(seconds=seconds)
        in_time(now, seconds)
        lost = nothing_lost_silently(stand, before, now)
        said += f"; in the later calls alone, {now.in_words}, {lost} sections lost"
    stand.server.fault = well
    return said


def in_time(settled: Settled, seconds: float) -> None:
    """It ended by its deadline."""
    late = settled.took - settled.lag - seconds
    require(late <= GRACE, f"ended {late:.1f} s after its deadline")

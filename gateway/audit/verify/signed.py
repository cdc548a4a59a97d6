"""The checkpoints: that each was signed by the pinned key, and signs what the rows come to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.audit.log.checkpoint import Checkpoint, NotSigned, PublicKey, open_note
from gateway.audit.verify.findings import Findings, rows_named


@dataclass(frozen=True, slots=True)
class Pinned:
    """An older checkpoint that was kept elsewhere, and where."""

    name: str
    checkpoint: Checkpoint


def open_kept(kept: Sequence[tuple[Any, Any]], public: PublicKey) -> tuple[list[Checkpoint], Findings]:
    """The checkpoints that the pinned key signed, and what is wrong with the others."""
    findings, opened = Findings(), list[Checkpoint]()
    for size, note in kept:
        if not isinstance(note, str):
            findings.add(None, f"checkpoint {_named(size)} isn't a text")
            continue
        try:
            checkpoint = open_note(note, public)
        except NotSigned as error:
            findings.add(None, f"checkpoint {_named(size)} isn't signed by the pinned key: {error}")
            continue
        if checkpoint.size != size:
            findings.add(None, f"checkpoint {_named(size)} is the one of size {checkpoint.size:,}")
            continue
        opened.append(checkpoint)
    return opened, findings


def check_order(kept: Sequence[Checkpoint], findings: Findings) -> None:
    """Each is greater than the one before it and names its size, so that none can be taken out of the middle."""
    before = 0
    for checkpoint in kept:
        if checkpoint.size <= before:
            findings.add(None, f"checkpoint {_named(checkpoint.size)} is kept twice, or isn't of any row")
        elif checkpoint.before != before:
            lacks = f"follows the one of size {checkpoint.before:,}, and what is kept before it is {before:,}"
            findings.add(None, f"checkpoint {_named(checkpoint.size)} {lacks}: one was removed or added")
        before = checkpoint.size


def check_roots(kept: Iterable[Checkpoint], roots: Mapping[int, bytes], size: int, findings: Findings) -> int:
    """Hold each checkpoint's root against the rows; returns the greatest size that holds.

    Once one doesn't hold no later one can: they would only repeat it.
    """
    held = 0
    for checkpoint in kept:
        if checkpoint.size > size:
            rows = rows_named(size + 1, checkpoint.size)
            findings.add(
                None, f"{rows} missing: checkpoint {_named(checkpoint.size)} was signed, and rows end before it"
            )
            break
        if roots[checkpoint.size] != checkpoint.root:
            rows = rows_named(held + 1, checkpoint.size)
            findings.add(None, f"{rows} aren't what checkpoint {_named(checkpoint.size)} signed: rows were changed")
            break
        held = checkpoint.size
    return held


def check_pinned(
    pinned: Iterable[Pinned], kept: Sequence[Checkpoint], roots: Mapping[int, bytes], size: int, findings: Findings
) -> None:
    """The log must begin with what each pinned checkpoint signed, and the store must still have it."""
    for one in pinned:
        checkpoint = one.checkpoint
        if checkpoint.size > size:
            rows = rows_named(size + 1, checkpoint.size)
            findings.add(None, f"{rows} missing: the log is shorter than the pinned checkpoint {one.name}")
        elif roots[checkpoint.size] != checkpoint.root:
            rows = rows_named(1, checkpoint.size)
            findings.add(
                None, f"{rows} aren't those of the pinned checkpoint {one.name}: the log was rewritten or forked"
            )
        if all((each.size, each.root) != (checkpoint.size, checkpoint.root) for each in kept):
            findings.add(None, f"the pinned checkpoint {one.name} (of size {checkpoint.size:,}) isn't kept any more")


def check_maps(kept: Iterable[Checkpoint], maps: Mapping[int, bytes], findings: Findings) -> None:
    """Hold each checkpoint's map root against the patients' rows up to it."""
    held = 0
    for checkpoint in kept:
        if maps.get(checkpoint.size) != checkpoint.map_root:
            rows = rows_named(held + 1, checkpoint.size)
            findings.add(
                None,
                f"checkpoint {_named(checkpoint.size)} signs another patients' map than {rows} come to: "
                "a patient's rows were hidden or added",
            )
            return
        held = checkpoint.size


_UNKNOWN: Final = "of no size"


def _named(size: object) -> str:
    return f"{size:,}" if isinstance(size, int) else _UNKNOWN

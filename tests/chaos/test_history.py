"""The checker catches what it is for."""

from __future__ import annotations

from datetime import UTC, datetime

from gateway.audit.row import Kind, Row
from tests.chaos.history import UNHEARD, Did, Operation, looks_after_an_opt_out, releases_while_out, unaccounted


def did(what: Did, start: float, end: float, *, done: bool = True, saw: bool = False) -> Operation:
    return Operation(what, "p", start, end, done, f"{what}-{start}", saw)


def test_a_look_after_an_acknowledged_opt_out_is_found() -> None:
    out, look = did(Did.OPT_OUT, 1, 2), did(Did.LOOK, 3, 4, saw=True)
    assert looks_after_an_opt_out([look, out]) == [(out, look)]


def test_a_look_that_began_before_the_acknowledgement_is_none() -> None:
    assert looks_after_an_opt_out([did(Did.OPT_OUT, 1, 3), did(Did.LOOK, 2.5, 4, saw=True)]) == []


def test_nothing_shown_is_none() -> None:
    assert looks_after_an_opt_out([did(Did.OPT_OUT, 1, 2), did(Did.LOOK, 3, 4)]) == []


def test_an_unheard_opt_out_is_not_held_against_anyone() -> None:
    assert looks_after_an_opt_out([did(Did.OPT_OUT, 1, UNHEARD, done=False), did(Did.LOOK, 3, 4, saw=True)]) == []


def test_opting_in_between_makes_it_right_and_before_or_after_does_not() -> None:
    out, look = did(Did.OPT_OUT, 1, 2), did(Did.LOOK, 5, 6, saw=True)
    assert looks_after_an_opt_out([out, did(Did.OPT_IN, 3, 4), look]) == []
    assert looks_after_an_opt_out([out, did(Did.OPT_IN, 3, UNHEARD, done=False), look]) == []
    assert looks_after_an_opt_out([did(Did.OPT_IN, 0.1, 0.9), out, look]) == [(out, look)]
    assert looks_after_an_opt_out([out, look, did(Did.OPT_IN, 7, 8)]) == [(out, look)]


def test_another_patients_opt_out_says_nothing() -> None:
    other = Operation(Did.OPT_OUT, "q", 1, 2, True, "r")
    assert looks_after_an_opt_out([other, did(Did.LOOK, 3, 4, saw=True)]) == []


def row(kind: Kind, detail: str = "", request_id: str = "r") -> Row:
    return Row(kind=kind, request_id=request_id, at=datetime.now(UTC), door="d", patient="p", detail=detail)


def test_a_release_row_behind_an_opt_out_is_found_in_the_journal() -> None:
    out, back = row(Kind.SHARING_CHOICE, "opted-out, stated"), row(Kind.SHARING_CHOICE, "opted-in, stated")
    release = row(Kind.RELEASE)
    assert releases_while_out([out, release]) == [release]
    assert releases_while_out([release, out, back, release]) == []


def test_what_was_shown_needs_its_row() -> None:
    look = did(Did.LOOK, 1, 2, saw=True)
    assert unaccounted([look], [row(Kind.RELEASE, request_id=look.request_id)]) == []
    assert unaccounted([look], [row(Kind.INTENT, request_id=look.request_id)]) == [look]

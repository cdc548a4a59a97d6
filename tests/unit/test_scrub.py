"""The last net: no NHS number passes, however it is written, and ordinary figures do."""

from __future__ import annotations

import io
import json
import logging
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import log
from gateway.audit.scrub import SCRUBBED, scrub, scrub_figure, scrub_id
from gateway.log_events import EVENTS
from tests.nhs_numbers import NUMBERS, WORDS, digits, written


@given(WORDS, written(), WORDS)
def test_no_number_passes_however_it_is_written(before: str, number: str, after: str) -> None:
    kept = scrub(f"{before} {number} {after}")
    assert SCRUBBED in kept
    assert digits(kept) == ""


@given(NUMBERS, NUMBERS, st.sampled_from((" ", ",", "\n", "; ", "|")))
def test_two_numbers_beside_each_other_are_two(one: str, other: str, between: str) -> None:
    assert digits(scrub(f"{one}{between}{other}")) == ""


@given(written(), st.dates(), st.integers(0, 99_999))
def test_a_number_among_other_figures_is_found(number: str, day: Any, row: int) -> None:
    assert digits(scrub(f"{day.isoformat()}: row {row} of {number} (took {row}.5)")) == digits(
        f"{day.isoformat()}: row {row} of  (took {row}.5)"
    )


ORDINARY = (
    *("2026-11-23T07:00:22.123Z", "2026-11-23 07:00:22", "2026-11-23", "23/11/2026 07:00", "07:00:22.123456"),
    *("took 41.5 ms", "12345 rows", "row 999999999", "RJ2, G85005, 709, 703", "port 8000", "X26", "R8000"),
    *("192.168.100.1", "http://192.168.100.100:8000", "172.30.44.10", "[2001:db8::1]:8000", "version 0.2.0"),
    *("gateway/caller/keys.py:120", "1 of 64", "£1,234,567.89", "12%", "0000000000", "[nhs-number]"),
)


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_figures_are_kept(text: str) -> None:
    assert scrub(text) == text


@given(st.datetimes())
def test_a_moment_is_kept(moment: Any) -> None:
    moment = moment.replace(year=2000 + moment.year % 100)
    for text in (moment.isoformat(), moment.isoformat(" ", "seconds"), moment.date().isoformat()):
        assert scrub(f"at {text}") == f"at {text}"


@given(st.uuids())
def test_a_uuid_is_kept_as_an_identifier(one: uuid.UUID) -> None:
    assert scrub_id(str(one)) == str(one)


@given(st.integers(0, 999_999_999) | st.floats(0, 1e9).filter(lambda figure: not figure.is_integer()))
def test_figures_of_fewer_digits_and_fractions_are_kept(figure: float) -> None:
    assert scrub_figure(figure) == figure


@given(NUMBERS)
def test_a_figure_that_may_be_somebodys_is_not(number: str) -> None:
    assert scrub_figure(int(number)) == scrub_figure(float(number)) == scrub_figure(-int(number)) == SCRUBBED


@contextmanager
def production_log() -> Iterator[io.StringIO]:
    """What a production gateway writes meanwhile; the process's logging is as before afterwards."""
    root, stream = logging.getLogger(), io.StringIO()
    handlers, level, strict = root.handlers[:], root.level, log._Strictness.raises
    handler = log._Handler(stream)
    handler.setFormatter(log._Formatter())
    root.handlers[:], log._Strictness.raises = [handler], False
    root.setLevel(logging.INFO)
    try:
        yield stream
    finally:
        root.handlers[:], log._Strictness.raises = handlers, strict
        root.setLevel(level)


def said(stream: io.StringIO) -> list[dict[str, Any]]:
    """The lines, without the two figures that the log itself adds: when, and in which line of which file."""
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    return [{key: value for key, value in line.items() if key not in ("at_utc", "at")} for line in lines]


def raised(number: str) -> ValueError:
    try:
        try:
            raise KeyError(number)
        except KeyError as error:
            raise ValueError(f"no patient {number}") from error
    except ValueError as error:
        return error


SHAPES: tuple[Callable[[str], Any], ...] = (
    str,
    lambda number: [number],
    lambda number: ("RJ2", f"patient {number} of RJ2"),
    lambda number: {number: number},
    lambda number: [[number]],
)
FIELDS = sorted((event, key) for event, listed in EVENTS.items() for key in listed.keys - {"at"})


@given(st.sampled_from(FIELDS), st.sampled_from(SHAPES), written())
def test_no_number_gets_into_the_log_by_a_field_or_a_key(field: tuple[str, str], shape: Any, number: str) -> None:
    event, key = field
    with production_log() as stream:
        log.event(event, level=logging.ERROR, **{key: shape(number), number: number})
        log.event(f"source.{number}", level=logging.ERROR)
    lines = said(stream)
    assert [line["event"] for line in lines] == [event, "log.unnamed"]
    assert lines[0]["dropped"] >= 1
    assert digits(number) not in digits(json.dumps(lines, ensure_ascii=False))


@given(written())
def test_no_number_gets_into_the_log_by_an_exception_or_a_library(number: str) -> None:
    error = raised(number)
    with production_log() as stream:
        log.failed("request.fault", error, request_id=number)
        logging.getLogger("uvicorn.error").error("Exception in %s", number, exc_info=error)
        logging.getLogger("somebody.else").error(f"can't read {number}", exc_info=error)
        logging.getLogger("somebody.else").error("can't read %s", number)
        logging.getLogger("uvicorn.error").error("%d patients", number)
        logging.getLogger(f"of.{number}").error("nothing")
    lines = said(stream)
    assert len(lines) == 6
    assert [line.get("error") for line in lines[:3]] == ["ValueError < KeyError"] * 3
    assert digits(number) not in digits(json.dumps(lines, ensure_ascii=False))

"""Where a date begins, read the short way, is where its whole span begins."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.search.dates import beginning, span

_TWO_DIGITS = st.integers(0, 99).map("{:02}".format)
_ZONES = st.one_of(st.just(""), st.just("Z"), st.builds("{}{}:{}".format, st.sampled_from("+-"), *[_TWO_DIGITS] * 2))
_FRACTIONS = st.one_of(st.just(""), st.text("0123456789", min_size=1, max_size=10).map(".{}".format))
_NEARLY_INSTANTS = st.builds(
    "{}-{}-{}T{}:{}:{}{}{}".format,
    st.one_of(st.integers(0, 9999), st.sampled_from((1, 9999, 2024))).map("{:04}".format),
    st.one_of(_TWO_DIGITS, st.integers(1, 12).map("{:02}".format)),
    st.one_of(_TWO_DIGITS, st.integers(1, 31).map("{:02}".format)),
    *[st.one_of(_TWO_DIGITS, st.integers(0, 61).map("{:02}".format))] * 3,
    _FRACTIONS,
    _ZONES,
)


def low(text: str) -> int | None:
    found = span(text)
    return found.low if found else None


@given(st.one_of(_NEARLY_INSTANTS, st.text(max_size=30)))
def test_the_short_way_ends_where_the_long_way_does(text: str) -> None:
    assert beginning(text) == low(text)


@pytest.mark.parametrize(
    "text",
    [
        "2024-05-17T09:30:00.123Z",
        "2024-05-17T09:30:00+01:00",
        "2016-12-31T23:59:60Z",  # a leap second
        "0001-01-01T00:00:00+14:00",  # before the first day there is
        "9999-12-31T23:59:59.999999-14:00",
        "2024-05-17T09:30:00.1234567Z",  # more digits than a datetime keeps
        "2024-05",
        "2024-07-01T00:30:00",  # the United Kingdom's own time
    ],
)
def test_instants_at_the_edges(text: str) -> None:
    assert beginning(text) == low(text) is not None


@pytest.mark.parametrize("text", ["", "today", "2024-02-30T09:30:00Z", "2024-W20-5T09:30:00Z", "2024-05-17 09:30:00Z"])
def test_what_is_no_date_begins_nowhere(text: str) -> None:
    assert beginning(text) is low(text) is None

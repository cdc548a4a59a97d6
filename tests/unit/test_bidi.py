"""What turns the direction of writing does so within its own text."""

from __future__ import annotations

import pytest
from markupsafe import Markup

from gateway.web.bidi import isolated
from gateway.web.frame import part

BEGIN, END, OVERRIDE, LEFT = "\u2068", "\u2069", "\u202e", "\u2066"


@pytest.mark.parametrize(
    "value", ["Amoxicillin 12 mg", "", "\u0645\u0631\u062d\u0628\u0627", None, 5, Markup(OVERRIDE)]
)
def test_what_has_no_such_character_stays_itself(value: object) -> None:
    assert isolated(value) is value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (f"a{OVERRIDE}b", f"{BEGIN}a{OVERRIDE}b{END}"),
        (f"{LEFT}a{END}", f"{BEGIN}{LEFT}a{END}{END}"),
        (f"a{END}{OVERRIDE}b", f"{BEGIN}{BEGIN}a{END}{OVERRIDE}b{END}"),
        (f"{LEFT}{BEGIN}a", f"{BEGIN}{LEFT}{BEGIN}a{END}{END}{END}"),
        (f"{END}{LEFT}{OVERRIDE}", f"{BEGIN}{BEGIN}{END}{LEFT}{OVERRIDE}{END}{END}"),
        *((f"a{end}{OVERRIDE}b", f"a{end}{BEGIN}{OVERRIDE}b{END}") for end in "\n\r\x1c\x1d\x1e\x85\u2029"),
        (f"{LEFT}a\u2029{END}{OVERRIDE}b", f"{BEGIN}{LEFT}a{END}{END}\u2029{BEGIN}{BEGIN}{END}{OVERRIDE}b{END}"),
    ],
)
def test_a_text_that_turns_is_closed_at_both_ends(value: str, expected: str) -> None:
    assert isolated(value) == expected
    depth = 0
    for character in expected:
        depth += {BEGIN: 1, LEFT: 1, END: -1}.get(character, 0)
        assert depth >= 0
    assert depth == 0


def test_every_template_does_so() -> None:
    assert f"{BEGIN}{OVERRIDE}&lt;{END}" in str(part("record/named.jinja", entry={"what": f"{OVERRIDE}<"}))

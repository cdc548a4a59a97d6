"""The card: what is told, in whose words, and that what isn't known is never told as none."""

from __future__ import annotations

import html
import json
import re
from typing import Any

import pytest
from markdown_it import MarkdownIt

from connectors.sdk.model import Gap, Outcome, Section, SourceWarning
from gateway.cds import card
from gateway.manifest import AllergyState, Manifest, ManifestLine

LINKS = card.Links("https://cc.example", "https://cc.example/launch", "i-1")
ASKED = frozenset({Section.DEMOGRAPHICS, Section.ALLERGIES})


def line(source: str, outcome: Outcome, **more: Any) -> ManifestLine:
    return ManifestLine(source, f"Org {source}", outcome, **more)


def made(*lines: ManifestLine, allergies: AllergyState | None, shown: tuple[str, ...] = (), **more: Any) -> Any:
    return card.of_record(LINKS, Manifest(lines, ASKED, allergies, **more), shown, register="PDS")


def test_who_holds_who_does_not_and_who_is_not_known() -> None:
    one = made(
        line("A", Outcome.ANSWERED),
        line("B", Outcome.NO_RECORD),
        line("C", Outcome.TIMED_OUT, gaps={Section.ALLERGIES: Gap.TIMED_OUT}),
        line("D", Outcome.PARTIAL, gaps={Section.ALLERGIES: Gap.TIMED_OUT}),
        line("E", Outcome.NOT_ASKED, told="holds none of what was asked for"),
        line("F", Outcome.NOT_ASKED, gaps={Section.ALLERGIES: Gap.NOT_ASKED}),
        line("G", Outcome.WITHHELD_BY_SOURCE, gaps={Section.ALLERGIES: Gap.WITHHELD_BY_SOURCE}),
        line("H", Outcome.ANSWERED, warnings=(SourceWarning(None, "x", "x"),)),
        line("PDS", Outcome.ANSWERED),
        allergies=AllergyState.UNAVAILABLE,
    )
    paragraphs = one["detail"].split("\n\n")
    assert paragraphs[0] == "**Hold a record:** Org A; Org D; Org H"
    assert paragraphs[1] == "**Hold no record:** Org B"
    for name in (
        "Org C (no answer in the time",
        "Org D (in part, no",
        "Org F (was not",
        "Org G (withholds",
        "Org H (in",
    ):
        assert name in paragraphs[2]
    assert "Org E" not in one["detail"]
    assert "PDS" not in one["detail"]
    assert one["indicator"] == "warning"
    assert "5 not known" in one["summary"]
    assert "This does not mean that there are none" in one["detail"]


def test_a_register_that_is_silent_speaks_for_the_practice() -> None:
    silent = line("PDS", Outcome.TIMED_OUT, gaps={Section.ALLERGIES: Gap.TIMED_OUT}, speaks_for="the GP practice")
    assert "**Not known:** the GP practice" in made(silent, allergies=AllergyState.UNAVAILABLE)["detail"]


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (AllergyState.KNOWN, "Known allergies"),
        (AllergyState.NONE_KNOWN, "No known allergies"),
        (AllergyState.NOT_RECORDED, "Allergies not recorded"),
        (AllergyState.UNAVAILABLE, "Allergies unavailable"),
    ],
)
def test_the_four_mandated_states(state: AllergyState, words: str) -> None:
    """NHS Common User Interface, patient banner, PAB-0064."""
    assert f"**{words}" in made(line("A", Outcome.ANSWERED), allergies=state, allergies_limited=True)["detail"]


def test_a_role_that_sees_no_allergies_is_told_nothing_of_them() -> None:
    one = made(line("A", Outcome.ANSWERED), allergies=None, never_shown=("x",))
    assert "llergies" not in one["detail"]
    assert "not shown to your role" in one["summary"]
    assert one["indicator"] == "info"


def test_the_allergies_are_listed() -> None:
    one = made(line("A", Outcome.ANSWERED), allergies=AllergyState.KNOWN, shown=("- Latex (Org A)",))
    assert "known allergies: 1" in one["summary"]
    assert "1 organisation holds a record" in one["summary"]
    assert "- Latex (Org A)" in one["detail"]


def test_the_link_launches_the_viewer_and_names_nobody() -> None:
    (link,) = card.not_known(LINKS, "x")["links"]
    assert (link["type"], link["url"]) == ("smart", "https://cc.example/launch")
    assert json.loads(link["appContext"]) == {"hook": "patient-view", "hookInstance": "i-1"}
    assert "links" not in card.not_known(card.Links("https://cc.example", "", "i"), "x")
    assert "links" not in card.opted_out(LINKS)


def test_before_permission_nothing_is_said_of_this_patient() -> None:
    one = card.permission_needed(LINKS, ["Org A"], ["Org B"])
    assert "llerg" not in json.dumps(one)
    assert "**Take part:** Org A" in one["detail"]
    assert "**Not answering at present:** Org B" in one["detail"]
    assert "Take part" not in card.permission_needed(LINKS, (), ())["detail"]


def test_a_summary_is_never_longer_than_the_standard_allows() -> None:
    assert len(card.card(LINKS, "x" * 500, [])["summary"]) == card.LONGEST_SUMMARY


@pytest.mark.parametrize(
    "hostile",
    [
        "[click](https://elsewhere.example)", "![x](https://elsewhere.example/i)", "<img src=x onerror=y>", "**bold**",
        "https://elsewhere.example", "www.elsewhere.example", "a@elsewhere.example", "&#60;b&#62;", "`x`", "- item",
        "1. item", "# head", "a\n\nb",
    ],
)  # fmt: skip
def test_markdown_of_a_source_is_only_text(hostile: str) -> None:
    """Read by a CommonMark reader it is one paragraph of just this text."""
    rendered = MarkdownIt("commonmark").render(card.escaped(hostile)).strip()
    inside = rendered.removeprefix("<p>").removesuffix("</p>")
    assert "<" not in inside
    assert html.unescape(inside) == " ".join(hostile.split())
    assert not re.search(r"https?://|www\.", card.escaped(hostile))  # which other readers make links of


def test_plain_words_stay_plain() -> None:
    assert (
        card.escaped("Penicillin V 250 mg - rash (2019), St. Mary's") == "Penicillin V 250 mg - rash (2019), St. Mary's"
    )

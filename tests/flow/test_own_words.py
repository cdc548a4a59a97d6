"""Patients' pages are for a reader of 9 to 11: short sentences, short words, dates as people say them, no jargon."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest

from gateway.web import own_words
from tests.flow.stack import GRACE, RAJESH, Stack, running
from tests.readability import reading_age, sentences_of, syllables

PAGES = (
    "/my/sign-in", "/my", "/my/choice", "/my/choice/opt-out", "/my/choice/opt-in", "/my/permissions", "/my/looks",
    "/my/looks/letter",
)  # fmt: skip
OLDEST = 11
LONGEST = 25
"""Words of a sentence (NHS digital service manual: 20 is plenty; a list of what was seen is longer)."""
JARGON = re.compile(
    r"\b(audit|journal|consent|permissions?|policy|metadata|token|session|role|proxy|data|API|invalid|error|"
    r"authenticat\w+|authoris\w+|Merkle|hash|query|request|URL)\b"
)
OF_THE_REPORT = ("They saw ", "your name, address", "all that the journal holds")
"""What the report says in words of its own: what was seen, and what is proven."""


@pytest.fixture(scope="module")
async def pages(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[dict[str, str]]:
    """Each page of a patient of whom there is much to tell, by address."""
    async with running(tmp_path_factory.mktemp("own-words")) as stack:
        await stack.agree(GRACE)
        await stack.everything(GRACE)
        await stack.everything(GRACE, "nurse")
        await stack.choose(RAJESH, "opted-out")
        yield {page: await _shown(stack, page) for page in PAGES}


async def _shown(stack: Stack, page: str) -> str:
    async with stack.patient(RAJESH if page.endswith("opt-in") else GRACE) as browser:
        answer = await browser.get(page)
        assert answer.status_code == 200
        return answer.text


def test_the_measure_tells_hard_from_easy() -> None:
    hard = "Individuals may subsequently revoke authorisation pertaining to organisational interoperability."
    assert reading_age([hard]) > 20
    assert reading_age(["You can see who looked.", "You can stop them."]) < 8
    assert [syllables(word) for word in ("care", "table", "privacy", "the", "emergency")] == [1, 2, 3, 1, 4]


@pytest.mark.parametrize("page", PAGES)
async def test_a_page_is_for_a_reader_of_nine_to_eleven(pages: dict[str, str], page: str) -> None:
    sentences = sentences_of(pages[page])
    assert len(sentences) > 3
    assert reading_age(sentences) <= OLDEST, sentences


@pytest.mark.parametrize("page", PAGES)
async def test_no_sentence_is_long_and_no_word_is_of_the_trade(pages: dict[str, str], page: str) -> None:
    own = [text for text in sentences_of(pages[page]) if not any(theirs in text for theirs in OF_THE_REPORT)]
    assert [text for text in own if len(text.split()) > LONGEST] == []
    assert [text for text in own if JARGON.search(text)] == []


def test_what_went_wrong_is_said_as_plainly() -> None:
    sentences = [text for plain in own_words.ALL for text in re.split(r"(?<=[.!?])\s+", f"{plain.title}. {plain.told}")]
    assert reading_age(sentences) <= OLDEST
    assert not any(JARGON.search(sentence) for sentence in sentences)


@pytest.mark.parametrize("page", ["/my/looks", "/my/permissions"])
async def test_days_are_written_as_people_say_them(pages: dict[str, str], page: str) -> None:
    text = " ".join(sentences_of(pages[page]))
    assert re.search(r"\b\d{1,2} [A-Z][a-z]{2,8} \d{4} at (\d{1,2}:\d\d[ap]m|midday|midnight)", text)
    assert not re.search(r"\d{4}-\d\d-\d\d|\d\d/\d\d/\d{4}|UTC", text)

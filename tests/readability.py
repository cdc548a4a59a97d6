"""How old a reader must be for a text: Flesch and Kincaid's grade, and the years of age that go with it.

Kincaid et al., "Derivation of new readability formulas" (1975): 0.39 x words a sentence + 11.8 x syllables a word -
15.59. An American school year's number is five less than its pupils' age. Syllables are counted as groups of vowels,
less a silent e.
"""

from __future__ import annotations

import html
import re
from typing import Final

_WORD: Final = re.compile(r"[A-Za-z']+")
_VOWELS: Final = re.compile(r"[aeiouy]+")
_BLOCK: Final = re.compile(r"</?(?:p|li|h[1-6]|dt|dd|td|th|summary|pre|br|div|section|button)\b[^>]*>")
_TAG: Final = re.compile(r"<[^>]+>")
_MAIN: Final = re.compile(r"<main.*?</main>", re.DOTALL)
_CODE: Final = re.compile(r"<(pre|code|details)\b.*?</\1>", re.DOTALL)
_BREAK: Final = "\0"
_ENDS: Final = re.compile(r"[.!?:]+(?:\s|$)")


def sentences_of(page: str) -> list[str]:
    """The sentences of a page's main part. A heading, a list's item and a table's cell each end one. What stands behind
    a summary, or is code, is for others than the reader."""
    found = _MAIN.search(page)
    assert found is not None
    blocks = _BLOCK.sub(_BREAK, _CODE.sub(_BREAK, found[0])).split(_BREAK)
    lines = (" ".join(html.unescape(_TAG.sub(" ", block)).split()) for block in blocks)
    texts = (text for line in lines for text in _ENDS.split(line))
    return [text for text in texts if _WORD.search(text)]


def syllables(word: str) -> int:
    plain = word.lower().strip("'")
    silent = plain.endswith("e") and not plain.endswith("le")
    return max(1, len(_VOWELS.findall(plain)) - silent)


def reading_age(sentences: list[str]) -> float:
    """In years."""
    words = [word for sentence in sentences for word in _WORD.findall(sentence)]
    grade = 0.39 * len(words) / len(sentences) + 11.8 * sum(map(syllables, words)) / len(words) - 15.59
    return grade + 5

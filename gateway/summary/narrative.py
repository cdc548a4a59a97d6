"""The narrative: XHTML made of words, every one of them escaped, with nothing that loads, links or runs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any, Final

from gateway.policy.narrative import XHTML
from gateway.summary.words import Row

_HEADINGS: Final = ("What", "When", "Details", "Held by")
# XML knows no such characters, not even escaped: one of them would make the whole narrative unreadable.
_NOT_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def narrative(sentences: Iterable[str], rows: Sequence[Row] = ()) -> dict[str, Any]:
    """A Narrative: a paragraph for each sentence, then a table with a row for each entry."""
    paragraphs = "".join(f"<p>{_safe(sentence)}</p>" for sentence in sentences)
    return {"status": "generated", "div": f'<div xmlns="{XHTML}">{paragraphs}{_table(rows) if rows else ""}</div>'}


def _table(rows: Iterable[Row]) -> str:
    head = "".join(f"<th>{heading}</th>" for heading in _HEADINGS)
    body = "".join(f"<tr>{''.join(map(_cell, (row.what, row.when, row.details, row.held_by)))}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(text: str) -> str:
    return f"<td>{_safe(text)}</td>"


def _safe(text: str) -> str:
    return escape(_NOT_XML.sub("\ufffd", text))

"""The forms in which a report goes out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final, NamedTuple

from gateway.audit.report.as_csv import as_csv
from gateway.audit.report.as_html import as_html
from gateway.audit.report.as_json import as_json
from gateway.audit.report.model import Report


class Format(StrEnum):
    """JSON and the page carry the proof; CSV is the lines alone, and can be held against either."""

    JSON = "json"
    CSV = "csv"
    HTML = "html"


class Form(NamedTuple):
    """How a report is written, and what that is to HTTP."""

    write: Callable[[Report], bytes]
    media_type: str


FORMS: Final[Mapping[Format, Form]] = {
    Format.JSON: Form(as_json, "application/json"),
    Format.CSV: Form(as_csv, "text/csv; charset=utf-8; header=present"),
    Format.HTML: Form(as_html, "text/html; charset=utf-8"),
}

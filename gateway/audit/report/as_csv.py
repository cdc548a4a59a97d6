"""The report's events as CSV (RFC 4180): one line an event, safe to open in a spreadsheet.

A spreadsheet runs what a cell begins with `=`, `+`, `-` or `@`, and staff names and references come from elsewhere:
such a cell gets an apostrophe before it (OWASP, "CSV Injection").
"""

from __future__ import annotations

import csv
import io
from typing import Final

from gateway.audit.report.model import Event, Report

COLUMNS: Final = (
    "number", "when (UK time)", "time (UTC)", "what happened", "name", "job", "organisation", "why", "link to you",
    "permission", "were you asked", "what was seen", "why nothing was shown", "given to", "law", "reference",
    "privacy officer told", "proven", "in words",
)  # fmt: skip
_STARTS_A_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def as_csv(report: Report) -> bytes:
    """UTF-8 with a byte order mark, without which spreadsheets take it for something else."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for event in report.events:
        writer.writerow([harmless(cell) for cell in _cells(event)])
    return text.getvalue().encode("utf-8-sig")


def harmless(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{cell}" if cell.lstrip(" \u00a0").startswith(_STARTS_A_FORMULA) else cell


def _cells(event: Event) -> tuple[str, ...]:
    who, law = event.who, event.law
    return (
        str(event.number),
        event.when,
        event.at.isoformat() if event.at else "",
        event.what.value,
        who.name if who else "",
        who.role if who else "",
        who.organisation if who else "",
        event.why,
        event.link,
        event.permission,
        event.asked.value if event.asked else "",
        "; ".join(f"{saw.what}: {saw.entries}" for saw in event.saw),
        event.refused_because,
        law.recipient if law else "",
        law.ground if law else "",
        law.reference if law else "",
        "yes" if event.officer_told else "no",
        "yes" if event.proven else "not yet",
        event.text,
    )

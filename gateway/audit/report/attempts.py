"""What somebody tried to do, or read, by the door that the row names (a route's method and template)."""

from __future__ import annotations

from typing import Final

from gateway.audit.row import Row

_TRIED: Final = (
    ("/access-reports", "tried to make a list of who looked at you"),
    ("/my/choice", "tried to use the page about your choice"),
    ("/my/permissions", "tried to use the page about who may look now"),
    ("/my", "tried to use your own pages"),
    ("/audit", "tried to read who looked at you"),
    ("/fhir/R4/AuditEvent", "tried to read who looked at you"),
    ("/fhir/R4/Consent", "tried to read what you chose"),
    ("/sharing-choices/_search", "tried to read what you chose"),
    ("/sharing-choices", "tried to write down what you chose"),
    ("/permissions/_search", "tried to read who may look at your record"),
    ("/permissions", "tried to write down that they may look at your record"),
    ("/disclosures", "tried to give a copy of your record to somebody"),
    ("/cases", "tried to read the checks about you"),
    ("/desk", "tried to read the checks about you"),
    ("connector", "tried to test a new link to a place that holds your record"),
)
"""The first that the door's route begins with. Everything else is a look."""

_READ: Final = (
    ("/access-reports", "who looked at you, to make a report like this one"),
    ("/my/looks", "the list of who looked at you"),
    ("/my/choice", "what you chose"),
    ("/my/permissions", "who may look at your record"),
    ("/fhir/R4/Consent", "what you chose"),
    ("/sharing-choices", "what you chose"),
    ("/permissions", "who may look at your record"),
    ("/cases", "the checks about you"),
    ("/desk", "the checks about you"),
)

_LOOK: Final = "tried to look at your record"
_LIST: Final = "the list of who looked at you"
_BY_NAME: Final = "question "
"""How the subject of a search for a person begins (`gateway.register.find`)."""


def attempted(row: Row) -> str:
    """What somebody who was refused had tried."""
    if row.subject.startswith(_BY_NAME):
        return "searched for you by name"
    return _first(row, _TRIED, _LOOK)


def read(row: Row) -> str:
    """What of the journal, or of the patient's say, somebody read."""
    return _first(row, _READ, _LIST)


def _first(row: Row, table: tuple[tuple[str, str], ...], otherwise: str) -> str:
    route = row.door.partition(" ")[2] if row.door.partition(" ")[0].isupper() else row.door
    return next((told for begins, told in table if route.startswith(begins)), otherwise)

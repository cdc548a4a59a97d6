"""Specimen: what a result was measured in. The shared record shows it with the result that refers to it."""

from __future__ import annotations

from typing import Final

from connectors.gp_connect.stu3.rules import Rules, code, kept

_STATUS: Final = frozenset({"available", "unavailable", "unsatisfactory", "entered-in-error"})

SPECIMEN: Final = Rules(
    "Specimen",
    {
        **kept(
            "identifier", "accessionIdentifier", "type", "subject", "receivedTime", "parent", "request", "collection"
        ),
        **kept("processing", "container", "note"),
        "status": code("status", _STATUS),
    },
)

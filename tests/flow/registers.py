"""Gateways with a national register: the sandbox of `pds`, or one that says what a test says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from connectors.pds import sandbox as pds
from connectors.sdk.bundle import examine
from connectors.sdk.connector import Connector
from connectors.sdk.model import NHS_NUMBER_SYSTEM, ODS_SYSTEM, Answer, Ask, Found, Item, Outcome, PersonSought, Section
from tests.flow.stack import ORGANISATIONS, Stack, running

REGISTER = "X26"
NADIA, OLD_NUMBER, NOBODYS_NUMBER, OLIVIA, YUSUF = "9990007004", "9990007012", "9990007020", "9990007055", "9990007063"
CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
ENTRY = f"""
  - ods: {REGISTER}
    name: Personal Demographics Service
    type: national-service
    stage: live
    joined: 2026-11-02
    connector: pds
    budget: 30
    address: sandbox
    sections: [demographics]
"""


def registered(number: str, *practices: str, label: str = "U", **more: Any) -> dict[str, Any]:
    """The register's Patient, with a practice or more and a confidentiality label."""
    return {
        "resourceType": "Patient",
        "id": number,
        "meta": {"security": [{"system": CONFIDENTIALITY, "code": label}]},
        "identifier": [{"system": NHS_NUMBER_SYSTEM, "value": number}],
        "generalPractitioner": [{"identifier": {"system": ODS_SYSTEM, "value": ods}} for ods in practices],
        **more,
    }


Behaviour = Callable[[Ask], Awaitable[Answer]]


class Register:
    """A connector that answers as a test says, and remembers what it was asked."""

    def __init__(self, says: Mapping[str, Any] | Exception | Behaviour, found: Found | Exception | None = None) -> None:
        self.says = says
        self.found = found
        self.sought: list[PersonSought] = []

    async def ask(self, ask: Ask) -> Answer:
        if isinstance(self.says, Exception):
            raise self.says
        if callable(self.says):
            return await self.says(ask)
        return answer_with(dict(self.says))

    async def find(self, sought: PersonSought) -> Found:
        self.sought.append(sought)
        if isinstance(self.found, Exception):
            raise self.found
        return self.found or Found()

    async def aclose(self) -> None:
        """Nothing to close."""


def answer_with(*patients: dict[str, Any], source: str = REGISTER) -> Answer:
    items = [Item(source, body, Section.DEMOGRAPHICS, str(body["id"]), findings=examine(body)[0]) for body in patients]
    return Answer(source, Outcome.ANSWERED, items)


@asynccontextmanager
async def with_register(
    data: Path,
    register: Connector | None = None,
    *,
    instead: Mapping[str, Connector] | None = None,
    change: Callable[[str], str] = lambda text: text,
    **more: Any,
) -> AsyncIterator[Stack]:
    """The flow tests' world and a register: the `pds` sandbox, or the one given. `change` rewrites the YAML."""
    file = data / "organisations.yaml"
    file.write_text(change(ORGANISATIONS.read_text() + ENTRY))
    others = {**(instead or {}), **({REGISTER: register} if register else {})}
    sandboxes = {} if register else {REGISTER: pds.create_app(REGISTER, canaries=True)}
    async with running(data, others=sandboxes, instead=others, organisations_file=file, **more) as stack:
        yield stack


def asked(stack: Stack) -> set[str]:
    """The ODS codes of the sandboxes that had a call."""
    return {ods for ods, one in stack.sandboxes.items() if one.state()["calls"]["total"]}

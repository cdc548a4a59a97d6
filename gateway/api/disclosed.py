"""The file of a disclosure: a FHIR document, whose first entry is its cover.

A document and not a collection, since it is made once, of one moment, and answered for by somebody: R4 gives a document
a Composition with author, date, title and sections, so any FHIR reader shows the cover first. Its sections say for each
kind of information what is there and what is missing: a gap never reads as "nothing recorded".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from html import escape
from typing import Any, Final
from uuid import UUID

from connectors.sdk.model import NHS_NUMBER_SYSTEM, ODS_SYSTEM, Item, Resource, Section
from gateway.api.bundle import Sending, instant, issues
from gateway.api.document import URI, Document
from gateway.disclosure.model import BASIS_NAMES, PURPOSE, Disclosure
from gateway.manifest import Manifest
from gateway.policy.told import SECTION_NAMES
from gateway.same_as import as_linkage
from gateway.shown import Shown

EXTENSION: Final = "https://connect-care.example/fhir/StructureDefinition/disclosure"
_USER: Final = "https://fhir.nhs.uk/Id/sds-user-id"
_ACT_REASON: Final = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
_EMPTY_REASON: Final = "http://terminology.hl7.org/CodeSystem/list-empty-reason"
_XHTML: Final = "http://www.w3.org/1999/xhtml"
_COMPLETE: Final = "No organisation that was asked left this out."
_NOTHING: Final = (
    "Nothing that may be disclosed came from the organisations that answered. This does not mean that nothing exists."
)


def document(shown: Shown, sending: Sending, *, public_base: str, moment: datetime) -> bytes:
    """The Bundle. `sending` gets the bytes of each item in the record's order. Raises ValueError for what stands on a
    permission: that is shown to whoever asked, and is no file for others."""
    disclosure = shown.authority
    if not isinstance(disclosure, Disclosure):
        raise ValueError("only a disclosure is a document")
    paper = Document(UUID(disclosure.id), moment, shown, public_base)
    outcome = paper.outcome()
    linkages = [as_linkage(group) for group in shown.groups]
    named = [paper.name_of(each) for each in linkages]
    cover = _Cover(shown, disclosure, moment).composition(paper.name_of(outcome), named)
    return paper.bundle(cover, shown.items, [outcome, *linkages], sending)


class _Cover:
    """The Composition: on what law, to whom, under which policy, by whom, when; then section by section."""

    def __init__(self, shown: Shown, disclosure: Disclosure, moment: datetime) -> None:
        self._shown = shown
        self._disclosure = disclosure
        self._moment = moment

    def composition(self, outcome: str, linkages: Sequence[str]) -> Resource:
        """`outcome` and `linkages` are the names of what the gateway wrote besides."""
        caller, disclosure = self._shown.caller, self._disclosure
        author = {"identifier": {"system": _USER, "value": caller.user_id}, "display": caller.name}
        custodian = {
            "identifier": {"system": ODS_SYSTEM, "value": caller.organisation},
            "display": caller.organisation_name,
        }
        return {
            "resourceType": "Composition",
            "id": disclosure.id,
            "language": "en-GB",
            "text": {"status": "generated", "div": _table(self._facts())},
            "extension": [{"url": EXTENSION, "extension": self._stated()}],
            "identifier": {"system": URI, "value": f"urn:uuid:{disclosure.id}"},
            "status": "final",
            "type": {"text": "Disclosure of a shared care record"},
            "subject": self._subject(),
            "date": instant(self._moment),
            "author": [author],
            "title": f"Disclosure, {BASIS_NAMES[disclosure.basis]}: {disclosure.policy.title}",
            "custodian": custodian,
            "event": [{"code": [{"coding": [{"system": _ACT_REASON, "code": PURPOSE}]}]}],
            "section": list(self._sections(outcome, linkages)),
        }

    def _subject(self) -> dict[str, Any]:
        number = self._shown.look.nhs_number
        subject: dict[str, Any] = {"identifier": {"system": NHS_NUMBER_SYSTEM, "value": number}}
        if any(item.type == "Patient" and item.sealed_id == number for item in self._shown.items):
            subject["reference"] = f"Patient/{number}"
        return subject

    def _facts(self) -> list[tuple[str, str]]:
        shown, disclosure = self._shown, self._disclosure
        caller = shown.caller
        facts = [
            ("Disclosed to", disclosure.recipient),
            ("Because it is", BASIS_NAMES[disclosure.basis]),
            ("Reference", disclosure.reference),
            ("Under the policy", f"{disclosure.policy.title} ({disclosure.policy.name}). {disclosure.policy.why}"),
            ("By", f"{caller.name}, privacy officer, {caller.organisation_name}"),
            ("On", instant(self._moment)),
            ("Request", shown.look.request_id),
            ("Disclosure", disclosure.id),
        ]
        if disclosure.opted_out:
            facts.append(
                ("Opted out", "The patient has opted out of Connect Care. That does not bar what the law requires.")
            )
        return [*facts, ("What it leaves out", " ".join(shown.manifest.never_shown))]

    def _stated(self) -> list[dict[str, Any]]:
        """The facts again, for machines."""
        disclosure = self._disclosure
        return [
            {"url": "basis", "valueCode": disclosure.basis.value},
            {"url": "reference", "valueString": disclosure.reference},
            {"url": "recipient", "valueString": disclosure.recipient},
            {"url": "policy", "valueString": disclosure.policy.name},
            {"url": "policyHash", "valueString": self._shown.policy_hash},
            {"url": "requestId", "valueString": self._shown.look.request_id},
            {"url": "optedOut", "valueBoolean": disclosure.opted_out},
        ]

    def _sections(self, outcome: str, linkages: Sequence[str]) -> Iterable[dict[str, Any]]:
        told = [issue["details"]["text"] for issue in issues(self._shown.manifest)]
        yield _section("What each organisation said", told, [outcome])
        for section in Section:
            if section in self._disclosure.policy.terms.sections:
                yield self._of(section)
        supporting = _references(item for item in self._shown.items if item.section is None)
        if supporting:
            yield _section(
                "What the others refer to", ["People, places and medicines that are named above."], supporting
            )
        if linkages:
            yield _section("The same thing from several organisations", ["Grouped, and nothing dropped."], linkages)

    def _of(self, section: Section) -> dict[str, Any]:
        entries = _references(item for item in self._shown.items if item.section is section)
        missing = _missing(self._shown.manifest, section)
        told = [f"May be incomplete: {', '.join(missing)} did not give all of it."] if missing else [_COMPLETE]
        made = _section(SECTION_NAMES[section].capitalize(), told if entries else [*told, _NOTHING], entries)
        if missing and not entries:
            made["emptyReason"] = {"coding": [{"system": _EMPTY_REASON, "code": "unavailable"}]}
        return made


def _missing(manifest: Manifest, section: Section) -> list[str]:
    return [line.speaks_for or line.name for line in manifest.lines if line.lacks(section)]


def _references(items: Iterable[Item]) -> list[str]:
    return [f"{item.type}/{item.sealed_id}" for item in items]


def _section(title: str, told: Sequence[str], entries: Sequence[str]) -> dict[str, Any]:
    paragraphs = "".join(f"<p>{escape(each)}</p>" for each in told)
    section: dict[str, Any] = {
        "title": title,
        "text": {"status": "generated", "div": f'<div xmlns="{_XHTML}">{paragraphs}</div>'},
    }
    if entries:
        section["entry"] = [{"reference": each} for each in entries]
    return section


def _table(facts: Iterable[tuple[str, str]]) -> str:
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(said)}</td></tr>" for name, said in facts)
    return f'<div xmlns="{_XHTML}"><table>{rows}</table></div>'

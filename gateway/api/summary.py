"""`Patient/{id}/$summary`: the record as an International Patient Summary, by the one way that every question goes.

Source: HL7 International Patient Summary 2.0.0 (R4), operation `summary`. The document is made of this moment's answers
and kept nowhere: it has no address where it could be read again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

from fastapi import APIRouter, Request, Response

from connectors.sdk.model import Item, Resource, Section
from gateway.api.asking import open_record, open_with_parameters
from gateway.api.bundle import Sending, allergies_sentence, instant
from gateway.api.document import Document
from gateway.api.door import parts_of, template
from gateway.api.http import request_id
from gateway.api.questions import Failing, headers_of
from gateway.caller.model import Caller
from gateway.errors import GatewayError, Refusal
from gateway.locate import Look
from gateway.record import Question
from gateway.same_as import as_linkage
from gateway.search.include import explained
from gateway.search.pairs import pairs_of
from gateway.search.parse import RawPairs, nhs_number, once
from gateway.search.refuse import wrong
from gateway.shown import Rendered, Shown
from gateway.summary.composition import Beside, Made, Summary
from gateway.summary.sections import PROFILE

router = APIRouter(prefix="/fhir/R4", include_in_schema=False)
_PROFILES: Final = frozenset({PROFILE, f"{PROFILE}|2.0.0"})
_PARAMS: Final = ("profile", "_format")


@router.get("/Patient/{patient}/$summary")
async def summary(request: Request, patient: str) -> Response:
    """The International Patient Summary of one patient, as a document Bundle."""
    return await open_record(request, _question(request, patient))


@router.post("/Patient/{patient}/$summary")
async def post_summary(request: Request, patient: str) -> Response:
    """The same with its parameters as a Parameters resource, or with no body at all."""
    return await open_with_parameters(request, lambda posted: open_record(request, _question(request, patient, posted)))


def _question(request: Request, patient: str, posted: RawPairs = ()) -> Question:
    door, identity = template(request), request_id(request)
    try:
        pairs = [*pairs_of(request.scope["query_string"]), *posted]
        _check_profile(once(pairs, "$summary takes", _PARAMS).get("profile"))
        return Summarising(door, identity, nhs_number(patient, "id"), parts_of(request).settings.public_url)
    except GatewayError as error:
        return Failing(door, identity, error)


def _check_profile(profile: str | None) -> None:
    if profile is not None and profile not in _PROFILES:
        raise wrong("profile", f"takes {PROFILE}, the one profile that is offered.")


@dataclass(frozen=True, slots=True)
class Summarising:
    """The whole record of one patient, as a document."""

    door: str
    request_id: str
    nhs_number: str
    public_url: str

    def look(self, caller: Caller) -> Look:
        """Raises Refusal for a token that can't read the Patient: a summary of nobody isn't one."""
        if not caller.grants.lets_read_whole("Patient"):
            raise Refusal(
                "Your application's token doesn't let it read the Patient, without whom a summary is of nobody. It "
                "needs the scope user/Patient.rs (or patient/Patient.rs) too.",
                rule="scope.summary",
            )
        return Look(self.nhs_number, self.door, self.request_id, frozenset(Section))

    def search(self, shown: Shown) -> Rendered:
        """The document. Nothing is filtered: what is in it is what the role and the patient's permission show."""
        sending = Sending()
        body, items = document(shown, sending, public_base=self.public_url, moment=datetime.now(UTC))
        return Rendered(body, headers_of(shown.manifest), items, sent=sending.sent)


def document(shown: Shown, sending: Sending, *, public_base: str, moment: datetime) -> tuple[bytes, list[Item]]:
    """The Bundle, and the items in it, in the order in which `sending` gets their bytes.

    The Composition refers to both what can be read and what the gateway wrote by their full URLs, since from an entry
    without an address relative references lead nowhere (FHIR R4, Resolving references in Bundles). One Patient is in
    it, as IPS demands: what other sources say differently of who the patient is stands in the Composition's words and
    in the outcome.
    """
    paper = Document(uuid4(), moment, shown, public_base)
    outcome = paper.outcome()
    in_sections = [group for group in shown.groups if group.section is not Section.DEMOGRAPHICS]
    linkages = [_absolute(as_linkage(group), paper.base) for group in in_sections]
    beside = Beside(
        outcome=paper.name_of(outcome),
        said=[issue["details"]["text"] for issue in outcome["issue"]],
        linkages=[(group, paper.name_of(each)) for group, each in zip(in_sections, linkages, strict=True)],
        allergies=allergies_sentence(shown.manifest) if Section.ALLERGIES in shown.manifest.asked else "",
    )
    made = Summary(shown, paper.base, instant(moment), paper.id, beside).made()
    items = _in_order(made, shown)
    return paper.bundle(made.composition, items, [*linkages, outcome], sending), items


def _in_order(made: Made, shown: Shown) -> list[Item]:
    """Everything that the Composition leads to: the sections' items, and the people, places and medicines they name."""
    by_reference = {f"{item.type}/{item.sealed_id}": item for item in shown.items if item.section is None}
    return [*made.items, *explained(made.items, by_reference.get).values()]


def _absolute(linkage: Resource, base: str) -> Resource:
    """The gateway's own Linkage with full addresses; no clinical resource is ever rewritten so."""

    def with_address(node: Any) -> Any:
        if isinstance(node, list):
            return [with_address(each) for each in node]
        if not isinstance(node, dict):
            return node
        return {
            name: base + value if name == "reference" and isinstance(value, str) else with_address(value)
            for name, value in node.items()
        }

    absolute: Resource = with_address(linkage)
    return absolute

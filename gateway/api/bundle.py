"""The searchset: matches, what they refer to, and what each source said, as bytes.

Completeness is told three ways, since real clients drop one or another: the outcome entry (for people and careful
clients), a tag for each source, and a header. All three come from the manifest alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote, urlencode
from uuid import UUID, uuid5

import msgspec

from connectors.sdk.model import ODS_SYSTEM, Gap, Outcome, Resource, Section
from gateway.manifest import AllergyState, Difference, Manifest, ManifestLine
from gateway.register.find import Finding
from gateway.search.page import Page
from gateway.search.person import Person
from gateway.search.query import Query, Shown, Summary
from gateway.search.summary import shaped
from gateway.search.told import left_out, limits

SOURCES_HEADER: Final = "Connect-Care-Sources"
SOURCES_TAG: Final = "urn:connect-care:sources"
ALLERGIES_TAG: Final = "urn:connect-care:allergies"
LIVE_TAG: Final = "urn:connect-care:live"
PART: Final = "part"
COMPLETE: Final = "complete"

# `decimal_format` writes a Decimal as the number it was read from: 0.10 stays 0.10.
_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")

_SAID: Final = {
    Outcome.ANSWERED: "answered",
    Outcome.PARTIAL: "answered in part",
    Outcome.NO_RECORD: "has no record of this patient",
    Outcome.WITHHELD_BY_SOURCE: "withholds this record",
    Outcome.REFUSED: "refused the question",
    Outcome.TIMED_OUT: "did not answer in time",
    Outcome.FAILED: "could not be asked",
    Outcome.NOT_ASKED: "was not asked",
}
_WHY: Final = {
    Gap.TIMED_OUT: "did not come in time",
    Gap.FAILED: "could not be fetched",
    Gap.REFUSED: "refused by the organisation",
    Gap.WITHHELD_BY_SOURCE: "withheld by the organisation",
    Gap.TOO_MUCH: "more than can be handled safely",
    Gap.HELD_BACK: "the organisation holds something back, or it could not be shown safely",
    Gap.IDENTITY_ALARM: "what came failed the check that it is about this patient",
    Gap.NOT_ASKED: "not asked for",
}
_CODE: Final = {
    Outcome.TIMED_OUT: "timeout",
    Outcome.WITHHELD_BY_SOURCE: "suppressed",
}


def to_json(resource: Resource) -> bytes:
    """FHIR JSON with every digit as the source sent it, elements in the source's order."""
    return _ENCODER.encode(resource)


@dataclass(frozen=True, slots=True)
class LivePart:
    """Which part of a live answer a Bundle is. `waiting` names the organisations of which more is to come."""

    closes: bool
    waiting: Sequence[str] = ()

    @property
    def tag(self) -> dict[str, str]:
        """For machines."""
        return {"system": LIVE_TAG, "code": COMPLETE if self.closes else PART}

    @property
    def notes(self) -> list[dict[str, Any]]:
        """For readers, where it isn't the last."""
        if self.closes:
            return []
        text = f"This is a part of the record: do not rely on it alone. Still to come: {', '.join(self.waiting)}."
        return [_issue("warning", "incomplete", text)]


class Sending:
    """Encodes each resource of an answer once: the bytes that are put into the body as they are, and digested for the
    journal. `sent` holds them in the order in which they were given."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def raw(self, resource: Resource) -> msgspec.Raw:
        """The resource's bytes, as they stand in the body."""
        encoded = _ENCODER.encode(resource)
        self.sent.append(encoded)
        return msgspec.Raw(encoded)


def searchset(
    page: Page[Any],
    manifest: Manifest,
    included: Iterable[Shown] = (),
    authored: Iterable[Resource] = (),
    *,
    public_base: str,
    moment: datetime,
    bundle_id: UUID,
    sending: Sending | None = None,
    streamed: LivePart | None = None,
) -> bytes:
    """The Bundle of one page. `included` are items that come along with the page's matches; `authored` are resources
    that the gateway made of them (Linkages). `sending` gets the bytes of each match, then of each that comes along.
    `streamed` says which part of a live answer it is: before the last one nobody knows how many matches there are."""
    base = public_base.rstrip("/") + "/fhir/R4/"
    query, sending = page.query, sending or Sending()
    cut = (shaped(item.resource, query.summary, query.elements) for item in page.items)
    entries = [_entry(base, resource, "match", sending) for resource in cut]
    if query.summary is not Summary.COUNT:
        entries += [_entry(base, item.resource, "include", sending) for item in included]
        entries += [_authored_entry(resource, bundle_id) for resource in authored]
    notes = [*(streamed.notes if streamed else ()), *_notes(query)]
    entries.append(_outcome_entry(manifest, bundle_id, notes))
    return to_json(
        {
            "resourceType": "Bundle",
            "id": str(bundle_id),
            "meta": {
                "lastUpdated": instant(moment),
                "tag": [*([streamed.tag] if streamed else []), *completeness_tags(manifest)],
            },
            "type": "searchset",
            "timestamp": instant(moment),
            **({} if streamed and not streamed.closes else {"total": page.total}),
            "link": [{"relation": link.relation, "url": link.url} for link in page.links],
            "entry": entries,
        }
    )


def found_set(
    finding: Finding,
    person: Person,
    *,
    public_base: str,
    moment: datetime,
    bundle_id: UUID,
    sending: Sending | None = None,
) -> bytes:
    """The searchset of a search for a person: the one who was found, or nobody, and in words what that means."""
    base = public_base.rstrip("/") + "/fhir/R4/"
    entries = [_entry(base, finding.patient, "match", sending or Sending())] if finding.patient else []
    outcome = {
        "resourceType": "OperationOutcome",
        "id": f"{bundle_id}-search",
        "issue": [_finding_issue(finding, person)],
    }
    entries.append({"fullUrl": f"urn:uuid:{_sibling(bundle_id)}", "resource": outcome, "search": {"mode": "outcome"}})
    tag = {"system": SOURCES_TAG, "code": found_header(finding), "display": finding.register.name}
    parameters = urlencode(person.pairs, quote_via=quote, safe="/:,")
    return to_json(
        {
            "resourceType": "Bundle",
            "id": str(bundle_id),
            "meta": {"lastUpdated": instant(moment), "tag": [tag]},
            "type": "searchset",
            "timestamp": instant(moment),
            "total": int(finding.patient is not None),
            "link": [{"relation": "self", "url": f"{base}Patient?{parameters}"}],
            "entry": entries,
        }
    )


def found_header(finding: Finding) -> str:
    """As `sources_header`."""
    return f"{finding.register.ods}={Outcome.ANSWERED}"


def _finding_issue(finding: Finding, person: Person) -> dict[str, Any]:
    name = finding.register.name
    if finding.patient:
        text = f"{name} knows one person who fits exactly. Check name, birth date and NHS number with the patient."
        return _issue("information", "informational", text)
    if finding.too_many:
        add = " and ".join(person.could_add)
        more = f"Add {add}" if add else "Ask for another proof of who the patient is, such as the NHS number"
        text = f"{name} knows several people who fit. Nobody guesses which of them it is, so none is shown. {more}."
        return _issue("warning", "multiple-matches", text)
    text = (
        f"{name} knows nobody who fits exactly and who can be shown here. This does not mean that there is no such "
        "person: people whose details are restricted, and people who opted out of Connect Care, are never listed. "
        "Check the spelling of the names and the birth date, or look in the national service."
    )
    return _issue("warning", "not-found", text)


def sources_header(manifest: Manifest) -> str:
    """`G85005=answered, RJ2=timed-out;missing=allergies+medicines`: one piece for every source, ASCII."""
    return ", ".join(_piece(line, manifest.asked) for line in manifest.lines)


def _piece(line: ManifestLine, asked: frozenset[Section]) -> str:
    missing = "+".join(
        section for section in Section if section in line.gaps or (section in asked and line.lacks(section))
    )
    return f"{line.source}={line.outcome}" + (f";missing={missing}" if missing else "")


def instant(moment: datetime) -> str:
    """A FHIR instant in UTC."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _entry(base: str, resource: Resource, mode: str, sending: Sending) -> dict[str, Any]:
    url = f"{base}{resource.get('resourceType')}/{resource.get('id')}"
    return {"fullUrl": url, "resource": sending.raw(resource), "search": {"mode": mode}}


def _authored_entry(resource: Resource, bundle_id: UUID) -> dict[str, Any]:
    # As with the outcome: a name within this answer, since there is no address where it could be read again.
    name = uuid5(bundle_id, f"{resource['resourceType']}/{resource['id']}")
    return {"fullUrl": f"urn:uuid:{name}", "resource": resource, "search": {"mode": "include"}}


def completeness_tags(manifest: Manifest) -> list[dict[str, str]]:
    """What each source said, as tags of a Bundle."""
    tags = [
        {"system": SOURCES_TAG, "code": _piece(line, manifest.asked), "display": line.name} for line in manifest.lines
    ]
    if _tells_allergies(manifest):
        tags.append({"system": ALLERGIES_TAG, "code": str(manifest.allergies)})
    return tags


def _tells_allergies(manifest: Manifest) -> bool:
    return manifest.allergies is not None and Section.ALLERGIES in manifest.asked


def _notes(query: Query) -> list[dict[str, Any]]:
    """What a reader must know of the search itself, before what each source said."""
    ignored = left_out(query)
    found = [_issue("warning", "not-supported", ignored)] if ignored else []
    return [*found, *(_issue("information", "informational", text) for text in limits(query))]


def _outcome_entry(manifest: Manifest, bundle_id: UUID, notes: Iterable[dict[str, Any]]) -> dict[str, Any]:
    said = [*notes, *issues(manifest)]
    outcome = {"resourceType": "OperationOutcome", "id": f"{bundle_id}-sources", "issue": said}
    # The outcome is part of this answer alone: it has a name, not an address that could be read again.
    return {"fullUrl": f"urn:uuid:{_sibling(bundle_id)}", "resource": outcome, "search": {"mode": "outcome"}}


def _sibling(bundle_id: UUID) -> UUID:
    return UUID(int=bundle_id.int ^ 1)


def issues(manifest: Manifest) -> list[dict[str, Any]]:
    """One issue for each source, one for the allergies where they were asked for, one for each element of the patient's
    details in which sources differ, one for what is held back, one for what is never shown."""
    found = [_source_issue(line) for line in manifest.lines]
    if _tells_allergies(manifest):
        found.append(_allergies_issue(manifest))
    found += [_issue("warning", "conflict", difference_sentence(difference)) for difference in manifest.differences]
    if manifest.whereabouts:
        found.append(_issue("warning", "suppressed", manifest.whereabouts))
    if manifest.never_shown:
        found.append(_issue("information", "informational", " ".join(manifest.never_shown)))
    return found or [_issue("information", "informational", "No organisation was asked.")]


def _issue(severity: str, code: str, text: str) -> dict[str, Any]:
    return {"severity": severity, "code": code, "details": {"text": text}}


def _source_issue(line: ManifestLine) -> dict[str, Any]:
    # A source that wasn't asked since it holds none of what was asked for has no gap: nothing is missing.
    incomplete = bool(line.gaps or line.warnings) or line.outcome.leaves_gap
    severity = "warning" if incomplete else "information"
    code = _CODE.get(line.outcome, "incomplete") if incomplete else "informational"
    issue = _issue(severity, code, source_sentence(line))
    issue["details"]["coding"] = [{"system": ODS_SYSTEM, "code": line.source, "display": line.name}]
    return issue


def difference_sentence(difference: Difference) -> str:
    """What a reader must know before taking the record for this patient's (GP Connect: a consumer compares family name,
    given name, gender and birth date, and shows any difference)."""
    held = "; ".join(f"{name} has “{value}”" for name, value in difference.values)
    return f"The {difference.element} differs: {held}. Check that this is the right patient."


def source_sentence(line: ManifestLine) -> str:
    """What a reader is told of one source: what it did, what is missing for it, and what it states itself."""
    said = f"{line.name} {line.told.rstrip('.') or _SAID[line.outcome]}"
    missing = _missing(line)
    sentences = [f"{said}: {missing}." if missing else f"{said}."]
    sentences += [f"It states: “{warning.text.rstrip('.')}.”" for warning in line.warnings if warning.text]
    return " ".join(sentences)


def _missing(line: ManifestLine) -> str:
    """The sections with a gap, and why where the outcome alone doesn't say."""
    parts = []
    for gap in Gap:
        sections = [section for section in Section if line.gaps.get(section) is gap]
        if sections:
            why = f" ({_WHY[gap]})" if line.outcome in (Outcome.PARTIAL, Outcome.ANSWERED) else ""
            parts.append(_of_sections(sections, "may be incomplete" if gap is Gap.HELD_BACK else "", why))
    return "; ".join(parts)


def _of_sections(sections: Sequence[Section], state: str, why: str) -> str:
    words = ", ".join(section.replace("-", " ") for section in sections)
    singular = list(sections) == [Section.CARE_TEAM]
    return f"{words} {state or ('is' if singular else 'are') + ' missing from this answer'}{why}"


def _allergies_issue(manifest: Manifest) -> dict[str, Any]:
    missing = any(line.lacks(Section.ALLERGIES) for line in manifest.lines)
    code = "incomplete" if missing else "informational"
    return _issue("warning" if missing else "information", code, allergies_sentence(manifest))


def allergies_sentence(manifest: Manifest) -> str:
    """The four mandated states (NHS CUI, PAB-0064), their exact words first."""
    missing = [line.speaks_for or line.name for line in manifest.lines if line.lacks(Section.ALLERGIES)]
    names = ", ".join(missing)
    match manifest.allergies:
        case AllergyState.KNOWN:
            more = f" There may be more: {names} can't be read as complete." if missing else ""
            return f"Known allergies: at least one is recorded.{more}"
        case AllergyState.NONE_KNOWN:
            limit, never = _limits(manifest)
            return f"No known allergies{limit}: a source states so, and none is missing.{never}"
        case AllergyState.NOT_RECORDED:
            limit, never = _limits(manifest)
            said = f"Allergies not recorded{limit}: no organisation holds a statement."
            return f"{said} This does not mean that there are none.{never}"
        case _:
            of = f" of {names}" if missing else ""
            return (
                f"Allergies unavailable: the allergies{of} could not be read. This does not mean that there are none."
            )


def _limits(manifest: Manifest) -> tuple[str, str]:
    """What a statement of absence must own up to where this reader is never shown some kinds of allergy.

    It is said of the role and permission, whether or not there is such an allergy, so it tells of none.
    """
    if not manifest.allergies_limited:
        return "", ""
    return " among what may be shown to you", " Kinds that are never shown are named below."

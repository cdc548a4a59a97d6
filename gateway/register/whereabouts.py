"""Where a sensitive patient lives or is registered: held back from everybody, whatever the role or permission.

A patient whom the register (or any source) labels as restricted is at risk if somebody finds them: neither address,
phone number nor practice is shown, nor what may tell of them elsewhere in the record (PDS, "Restricted, sensitive and
invalidated patients"). Until a register that takes part has answered, nobody knows whom this concerns, so it holds for
everybody. It runs after labelling and before the policy's decisions, so that no role, outline or search comes near it.

    Patient                     is reduced to what identifies: a list of what stays
    Location, Organization      go, and the people that a Patient names as its practice
    anything else               loses addresses, phone numbers, attachments, codes of organisations, references to
                                places and organisations, narratives, the source's own tags, and every text (those
                                beside a code too) that holds a postcode or something that a Patient gave away
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from operator import is_
from typing import Any, Final
from unicodedata import normalize

from connectors.sdk.bundle import examine
from connectors.sdk.model import NHS_NUMBER_SYSTEM, ODS_SYSTEM, Item, Resource, Section
from gateway.merge import Record
from gateway.patient_names import HISTORY
from gateway.policy.outline import SUBSETTED
from gateway.policy.r4 import Element, demanded, elements
from gateway.policy.references import target_type
from gateway.register.standing import Hold

PLACES: Final = frozenset({"Location", "Organization", "HealthcareService", "Endpoint"})
_IDENTIFIES: Final = (
    *("resourceType", "id", "meta", "identifier", "active", "name", "gender", "birthDate"),
    *("deceasedBoolean", "deceasedDateTime", "link"),
)
_NAME: Final = ("use", "text", "family", "given", "prefix", "suffix", "period")
_IDENTIFIER: Final = ("use", "system", "value", "period")
_META: Final = ("source", "lastUpdated", "security")
_OWN_META: Final = frozenset({"source", "tag"})
_OWN_TAGS: Final = frozenset({ODS_SYSTEM, SUBSETTED["system"]})
"""Tags of these systems are the gateway's own. Any other says what a source likes."""
_TOLD: Final = {
    Hold.SENSITIVE: (
        "This patient's details are restricted. Address, phone numbers, GP practice and whatever else could tell where "
        "the patient lives or is registered are not shown to anybody."
    ),
    Hold.UNCHECKED: (
        "Whether this patient's whereabouts are restricted could not be checked, since the national register did not "
        "answer. Until it does, address, phone numbers, GP practice and whatever else could tell where the patient "
        "lives or is registered are not shown."
    ),
}
_AT_HOME: Final[Mapping[str, frozenset[str]]] = {
    "Appointment": frozenset({"comment", "description", "patientInstruction"}),
    "DiagnosticReport": frozenset({"presentedForm"}),
    "Encounter": frozenset({"location", "serviceProvider"}),
}
"""Elements of free text or free content that say where to go, or carry a letterhead."""
_MODELS_OF_PLACE: Final = frozenset({"Address", "Attachment", "ContactPoint"})
_NOT_PROSE: Final = frozenset({"Quantity", "Meta", "Period", "Ratio", "Range"})
_NOT_TEXT: Final = frozenset({"resourceType", "id", "url", "system", "code", "reference", "type", "status", "unit"})
_SAYS_ADDRESS: Final = re.compile(r"address|telecom|postcode|postalcode|phone", re.IGNORECASE)
_NAMES_BY_CODE: Final = frozenset({"Coding", "Identifier"})
_MAKERS: Final = frozenset({"manufacturer"})
"""Organisations that tell of a medicine or a device, never of the patient."""
_INWARD: Final = r"[0-9][ABD-HJLNP-UW-Z]{2}"
_POSTCODE: Final = re.compile(
    r"(?<![A-Z0-9])(?<!vitamin )(?:[A-PR-UWYZ][A-HK-Y]?[0-9][A-Z0-9]?)[\s\u00ad\u200b-\u200d\u2060\ufeff-]{0,3}"
    rf"{_INWARD}(?![A-Z0-9])",
    re.IGNORECASE,
)
"""A postcode as BS 7666 shapes it, whatever white space or hyphen stands between its halves; not vitamin B12 5ug."""
_ANY_INWARD: Final = re.compile(_INWARD, re.IGNORECASE)
"""The second half of a postcode is looked for first: few texts hold one, and that is told in a fifth of the time."""
_NOT_LETTER_OR_DIGIT: Final = re.compile(r"[^a-z0-9]")
_ASCII_LEFT_OUT: Final = {code: None for code in range(128) if _NOT_LETTER_OR_DIGIT.match(chr(code))}
_SHORTEST_WORD: Final = 5


def told(hold: Hold | None) -> str:
    """Why, once for each answer, in words; "" where nothing is held back."""
    return _TOLD[hold] if hold else ""


def hold_back(record: Record) -> Counter[str]:
    """Take out of a labelled record whatever tells where the patient lives or is registered, where that must be.

    Items keep their labels. Returns how many items were changed or taken out, by rule id; empty where nothing had to
    be held back.
    """
    hold = record.standing.hold
    if hold is None:
        return Counter()
    sweep = _Sweep.of(record.items)
    kept, touched = [], 0
    for item in record.items:
        left = sweep.left_of(item)
        touched += left is not item.resource
        if left is None:
            record.index.pop(f"{item.type}/{item.sealed_id}", None)
            continue
        if left is not item.resource:
            item.resource = left
            item.findings, _ = examine(left)
        kept.append(item)
    record.items = kept
    return Counter({hold.value: touched}) if touched else Counter()


@dataclass(slots=True)
class _Sweep:
    """What the sources' Patients gave away: `words` in the form of `_squeezed`, and references to whom they `named`."""

    words: set[str] = field(default_factory=set)
    named: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, items: Iterable[Item]) -> _Sweep:
        sweep, named = cls(), set()
        for item in items:
            if item.section is Section.DEMOGRAPHICS:
                words = (_squeezed(text) for text in _given_away(item.resource))
                sweep.words.update(word for word in words if len(word) >= _SHORTEST_WORD)
                named |= {(item.source, _key(reference)) for reference in _practice_references(item.resource)}
        gone = [item for item in items if (item.source, item.key) in named]
        sweep.named = {key for _, key in named if key} | {f"{item.type}/{item.sealed_id}" for item in gone}
        return sweep

    def left_of(self, item: Item) -> Resource | None:
        """The resource without it: the same object where it held nothing, None where nothing of it can be shown."""
        if item.section is Section.DEMOGRAPHICS:
            return identity(item.resource)
        if item.type in PLACES or f"{item.type}/{item.sealed_id}" in self.named:
            return None
        left = self._resource(item.resource)
        return left if left is None or left is item.resource else _as_part(left)

    def _resource(self, resource: Resource) -> Resource | None:
        kind = str(resource.get("resourceType", ""))
        local = {f"#{part.get('id')}": str(part.get("resourceType", "")) for part in resource.get("contained", ())}
        gone = resource.keys() & {"text", *_AT_HOME.get(kind, ())}
        here = {name: value for name, value in resource.items() if name not in gone} if gone else resource
        left = _Walk(self, local).parts(_without_foreign_tags(here), kind)
        if left is resource or left == resource:
            return resource
        lost = (group for group in demanded(kind) if group & resource.keys())
        return None if any(not group & left.keys() for group in lost) else left

    def contained(self, part: Resource) -> Resource | None:
        """What stays of a contained resource."""
        kind = part.get("resourceType")
        if kind == "Patient":
            return identity(part)
        return None if kind in PLACES else self._resource(part)

    def is_told_by(self, text: str) -> bool:
        """True for a text that holds a postcode, or something that a Patient gave away."""
        if _holds_postcode(normalize("NFKC", text)):
            return True
        if not self.words:
            return False
        squeezed = _squeezed(text)
        return any(word in squeezed for word in self.words)


@dataclass(slots=True)
class _Walk:
    """One walk over one resource, along R4's own element tables. `local` are the types of contained resources."""

    sweep: _Sweep
    local: Mapping[str, str]

    def parts(self, node: Resource, model: str | None) -> Resource:
        """What is left of an object: itself where all of it is."""
        known, prose, left = elements(model) if model else {}, model not in _NOT_PROSE, node
        for name, value in node.items():
            element, new = known.get(name), value
            if element is None or type(value) is not str:
                new = self._value(name, value, element, prose=prose)
            elif prose and name not in _NOT_TEXT and self.sweep.is_told_by(value):  # most values, so without a call
                new = None
            if new is not value:
                left = dict(node) if left is node else left
                if new is None:
                    del left[name]
                else:
                    left[name] = new
        return left

    def _value(self, name: str, value: Any, element: Element | None, *, prose: bool) -> Any:
        kind = type(value)
        if kind is list:
            new = [self._value(name, one, element, prose=prose) for one in value]
            if value and all(map(is_, new, value)):
                return value
            return [one for one, old in zip(new, value, strict=True) if one is not None or old is None] or None
        if element is None and _SAYS_ADDRESS.search(name):
            return None
        if kind is str:
            return None if prose and name not in _NOT_TEXT and self.sweep.is_told_by(value) else value
        return self._object(name, value, element) if kind is dict else value

    def _object(self, name: str, node: Resource, element: Element | None) -> Resource | None:
        model = element.model if element else None
        if model in _MODELS_OF_PLACE or (model == "Extension" and _SAYS_ADDRESS.search(str(node.get("url", "")))):
            return None
        if model in _NAMES_BY_CODE and node.get("system") == ODS_SYSTEM:
            return None
        if name == "contained":
            return self.sweep.contained(node)
        if name == "meta":
            return self._meta(node)
        if model == "Reference" or (element is None and "reference" in node) or name == "valueReference":
            return self._reference(name, node, element)
        left = self.parts(node, model)
        if left is node:
            return node
        if left.keys() <= {"id"} or (model == "Extension" and left.keys() <= {"id", "url"}):
            return None
        lost = (group for group in (demanded(model) if model else ()) if group & node.keys())
        return None if any(not group & left.keys() for group in lost) else left

    def _meta(self, node: Resource) -> Resource:
        """Here a source may write as well: beside a security label, or in an extension. `source` and the tags that are
        left are the gateway's own."""
        said = {name: value for name, value in node.items() if name not in _OWN_META}
        left = self.parts(said, "Meta") if said else said
        if left is said:
            return node
        return {name: value for name, value in node.items() if name in _OWN_META} | left

    def _reference(self, name: str, node: Resource, element: Element | None) -> Resource | None:
        """A place goes, and what may be one, and whoever a Patient names as its practice."""
        named = self.sweep.named
        if (named and _key(node) in named) or (name not in _MAKERS and self._may_be_place(node, element)):
            return None
        return self.parts(node, "Reference") or None

    def _may_be_place(self, node: Resource, element: Element | None) -> bool:
        kind = self.local.get(str(node.get("reference", ""))) or target_type(node)
        if kind is not None:
            return kind in PLACES
        if node.get("identifier", {}).get("system") == NHS_NUMBER_SYSTEM:
            return False
        return element is None or not element.targets.isdisjoint(PLACES | {"Resource"})


def identity(patient: Resource) -> Resource:
    """Who the patient is, and nothing else: a list of what stays, so that what nobody thought of goes."""
    left = _only(patient, _IDENTIFIES)
    if "identifier" in left:
        own = (one for one in left["identifier"] if one.get("system") == NHS_NUMBER_SYSTEM)
        left["identifier"] = [_only(one, _IDENTIFIER) for one in own]
    if "name" in left:
        left["name"] = [_only(one, _NAME) for one in left["name"]]
    if "link" in left:
        others = ({**_only(one, ("type",)), "other": one.get("other", {})} for one in left["link"])
        left["link"] = [{**one, "other": _only(one["other"], ("reference",))} for one in others]
    return _as_part({**left, "meta": _only(left.get("meta", {}), (*_META, "tag"))})


def _as_part(resource: Resource) -> Resource:
    """The resource, which says by its tag that it isn't whole."""
    meta = resource.get("meta", {})
    tags = [tag for tag in _own_tags(meta) if tag.get("code") != SUBSETTED["code"]]
    return {**resource, "meta": {**meta, "tag": [*tags, SUBSETTED]}}


def _without_foreign_tags(resource: Resource) -> Resource:
    meta = resource.get("meta", {})
    if len(tags := _own_tags(meta)) == len(meta.get("tag", ())):
        return resource
    kept = {name: value for name, value in meta.items() if name != "tag"}
    return {**resource, "meta": {**kept, "tag": tags} if tags else kept}


def _own_tags(meta: Resource) -> list[Resource]:
    return [tag for tag in meta.get("tag", ()) if tag.get("system") in _OWN_TAGS]


def _only(node: Resource, names: Iterable[str]) -> Resource:
    return {name: node[name] for name in names if name in node}


def _given_away(patient: Resource) -> Iterator[str]:
    """The texts by which a Patient tells where they live, how to reach them, and where they are registered."""
    for holder in (patient, *patient.get("contact", ())):
        addresses = holder.get("address", ())
        for address in (addresses,) if isinstance(addresses, dict) else addresses:
            yield from filter(_is_text, (*address.get("line", ()), address.get("postalCode"), address.get("text")))
        yield from (one["value"] for one in holder.get("telecom", ()) if _is_text(one.get("value")))
    for reference in _practice_references(patient):
        yield from filter(_is_text, (reference.get("display"), reference.get("identifier", {}).get("value")))


def _practice_references(patient: Resource) -> Iterator[Resource]:
    yield from patient.get("generalPractitioner", ())
    if "managingOrganization" in patient:
        yield patient["managingOrganization"]


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _key(reference: Resource) -> str:
    """`Practitioner/17`, however the source wrote where it is; "" where it doesn't say."""
    return "/".join(HISTORY.sub("", str(reference.get("reference", ""))).split("/")[-2:])


def _holds_postcode(text: str) -> bool:
    return bool(_ANY_INWARD.search(text) and _POSTCODE.search(text))


def _squeezed(text: str) -> str:
    """Letters and digits alone, so that spacing and punctuation hide nothing; nor does an accent, which many leave out
    (a Welsh address is written `Tŷ Gwyn` here and `Ty Gwyn` there), or another width."""
    if text.isascii():  # the same, in a twentieth of the time
        return text.lower().translate(_ASCII_LEFT_OUT)
    return _NOT_LETTER_OR_DIGIT.sub("", normalize("NFKD", text).casefold())

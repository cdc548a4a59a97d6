"""Items as they stand in the page. Each is one piece of HTML, made once: the bytes that the journal digests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from markupsafe import Markup

from connectors.sdk.model import Item, Resource, Section
from gateway.compared import UNREADABLE, joined
from gateway.web.frame import part
from gateway.web.record.entries import Entries, Entry
from gateway.web.record.links import Links
from gateway.web.record.medicines import TOLD_AS_DOSE, doses_of, form_of
from gateway.web.record.results import Reading, reading_of
from gateway.web.words import has_died, identity_of


@dataclass(slots=True)
class Rows:
    """Makes rows, and keeps what it made. `links` are what a problem, a contact or a report is tied to; `within` are,
    by reference, the classes of what shows an entry elsewhere (`arranged.elsewhere`)."""

    entries: Entries
    links: Links = field(default_factory=dict)
    within: Mapping[str, str] = field(default_factory=dict)
    made: dict[str, Markup] = field(default_factory=dict)

    def of(self, item: Item) -> Markup:
        """One row, whichever section it is of."""
        return self.row(self.entries.of(item))

    def row(self, entry: Entry, *, under: bool = False) -> Markup:
        """`under`: it stands beneath the entry that it belongs to."""
        if entry.item.section is Section.DEMOGRAPHICS:
            return self._keep(entry, "record/patient.jinja", lines=_who(entry.item.resource))
        if entry.item.section is Section.MEDICINES:
            return self._medicine(entry, under=under)
        if entry.item.type == "Observation":
            return self.reading(reading_of(entry), under=under)
        links = self.links.get(entry.reference, ()) if entry.anchor else ()
        return self._keep(entry, "record/row.jinja", links=links)

    def again(self, entry: Entry, *, under: bool = False) -> Markup:
        """The same row in another place of the page. It has no anchor: the first one is the entry's own."""
        return self.row(replace(entry, anchor=""), under=under)

    def reading(self, reading: Reading, *, in_table: bool = False, under: bool = False) -> Markup:
        """A result: as a row of its test's table, or by itself."""
        name = "record/reading.jinja" if in_table else "record/result.jinja"
        return self._keep(reading.entry, name, reading=reading, under=under)

    def _medicine(self, entry: Entry, *, under: bool) -> Markup:
        doses = doses_of(entry.item)
        facts = [fact for fact in entry.facts if not doses or fact[0] not in TOLD_AS_DOSE]
        form = form_of(entry.item, self.entries.reader)
        return self._keep(entry, "record/medicine.jinja", doses=doses, said=facts, form=form, under=under)

    def _keep(self, entry: Entry, name: str, **said: object) -> Markup:
        if not entry.anchor:
            return part(name, entry=entry, **said)
        within = self.within.get(entry.reference, "")
        entry = replace(entry, filters=f"{entry.filters} {within}".strip()) if within else entry
        row = self.made[entry.reference] = part(name, entry=entry, **said)
        return row


def _who(patient: Resource) -> list[tuple[str, str]]:
    """Who one organisation says that the patient is, and where they are reached."""
    name, *rest = identity_of(patient) or ["No name"]
    lines = [("", joined(" · ", (name, has_died(patient), *rest)))]
    try:
        lines += [("Address", address) for address in _addresses(patient)]
        lines += [("Contact", str(one["value"])) for one in patient.get("telecom", ()) if one.get("value")]
        practices = (str(one.get("display") or "") for one in patient.get("generalPractitioner", ()))
        lines += [("GP practice", practice) for practice in practices if practice]
    except UNREADABLE:
        lines.append(("", "More was sent in a form that can’t be put into words."))
    return lines


def _addresses(patient: Resource) -> Iterable[str]:
    for address in patient.get("address", ()):
        parts: Sequence[str] = [*address.get("line", ()), address.get("city", ""), address.get("postalCode", "")]
        yield str(address.get("text") or "") or joined(", ", map(str, parts))

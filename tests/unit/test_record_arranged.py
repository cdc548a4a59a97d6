"""The record by problem or by contact, and the classes of the filter: what is linked, and what a page tells of it."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

import pytest

from connectors.sdk.model import SECTION_OF_TYPE, Item, Resource
from gateway.web import assets
from gateway.web.record import filters
from gateway.web.record.arranged import MOST_WHOLE, Arrangement, Way, arranged, elsewhere, linked_of
from gateway.web.record.blocks import Block, Differing, blocks_of
from gateway.web.record.entries import Entries, Entry
from gateway.web.record.links import linked
from gateway.web.record.rows import Rows
from tests.flow.visitor import text_of

TODAY = date(2026, 11, 23)
NAMES = {"RJ2": "The trust", "G85005": "The practice"}


class Page:
    """Some entries of one record, ready to be arranged."""

    def __init__(self, *resources: Resource, source: str = "RJ2") -> None:
        self.rows = Rows(Entries(NAMES, {}, TODAY, "w"))
        self.entries = [self.rows.entries.of(item_of(resource, source)) for resource in resources]

    def of(self, kind: str) -> list[Entry]:
        return [entry for entry in self.entries if entry.item.type == kind]

    def by(self, way: Way, *blocks: Block, others: tuple[Block, ...] = ()) -> Arrangement:
        """`blocks` are the heads; by default each problem, or contact, by itself."""
        kinds = ("Condition",) if way is Way.PROBLEM else ("Encounter", "Appointment")
        heads = blocks or tuple(Block((entry,)) for kind in kinds for entry in self.of(kind))
        return arranged(way, heads, linked_of(linked(self.entries), [*heads, *others]), self.rows)


def item_of(resource: Resource, source: str) -> Item:
    item = Item(source, resource, SECTION_OF_TYPE[resource["resourceType"]], resource["id"])
    item.sealed_id = resource["id"]
    return item


def made(kind: str, name: str, **more: Any) -> Resource:
    return {"resourceType": kind, "id": name, "code": {"text": name}, **more}


@pytest.mark.parametrize("based", [{"a": "b", "b": "a"}, {"a": "a", "b": "b"}, {"a": "b", "b": "c", "c": ""}])
def test_a_medicine_that_rests_on_another_or_on_itself_is_shown(based: dict[str, str]) -> None:
    """R4 has no such reference, and a source may send one: none of them goes."""
    page = Page(
        *(
            made("MedicationStatement", one, basedOn=[to(f"MedicationStatement/{other}")])
            for one, other in based.items()
        )
    )
    shown = [entry.reference for block in blocks_of(page.entries, []) for entry in block.every]
    assert sorted(shown) == [f"MedicationStatement/{one}" for one in based]


def to(reference: str) -> dict[str, str]:
    return {"reference": reference}


def problem(name: str = "asthma", **more: Any) -> Resource:
    return made("Condition", name, **more)


def contact(name: str = "visit", **more: Any) -> Resource:
    return made("Encounter", name, type=[{"text": name}], **more)


def medicine(name: str = "salbutamol", **more: Any) -> Resource:
    dosage = [{"text": "2 puffs", "doseAndRate": [{"doseQuantity": {"value": 0, "unit": "puff"}}]}]
    return made("MedicationStatement", name, medicationCodeableConcept={"text": name}, dosage=dosage, **more)


def result(name: str = "peak flow", **more: Any) -> Resource:
    return made("Observation", name, valueString="410", **more)


def read(arrangement: Arrangement) -> list[str]:
    """Each view: its heads, and what is linked to it."""
    return [
        text_of(" ".join([*view.heads, *(f"{kind.title} {kind.count} " + " ".join(kind.rows) for kind in view.kinds)]))
        for view in arrangement.views
    ]


@pytest.mark.parametrize(
    ("kind", "link"),
    [
        ("MedicationStatement", {"reasonReference": [to("Condition/asthma")]}),
        ("MedicationRequest", {"reasonReference": [to("Condition/asthma")]}),
        ("Encounter", {"diagnosis": [{"condition": to("Condition/asthma")}]}),
        ("Appointment", {"reasonReference": [to("Condition/asthma")]}),
        ("Immunization", {"reasonReference": [to("Condition/asthma")]}),
        ("Observation", {"extension": [{"url": "u", "extension": [{"valueReference": to("Condition/asthma")}]}]}),
    ],
)
def test_what_refers_to_a_problem_stands_under_it(kind: str, link: dict[str, Any]) -> None:
    arrangement = Page(problem(), made(kind, "other", **link)).by(Way.PROBLEM)
    assert arrangement.placed == {"Condition/asthma", f"{kind}/other"}
    (view,) = arrangement.views
    assert [kind.count for kind in view.kinds] == [1]


def test_what_a_problem_refers_to_stands_under_it_in_full() -> None:
    related = [{"url": "RelatedClinicalContent", "valueReference": to(target)} for target in
               ("MedicationStatement/salbutamol", "Observation/peak flow")]  # fmt: skip
    (view,) = read(Page(problem(extension=related), result(), medicine()).by(Way.PROBLEM))
    assert view.index("asthma") < view.index("Medicines 1 salbutamol") < view.index("Results 1 peak flow 410")
    assert "2 puffs" in view
    assert "DOSE 0 puff" in view


def test_a_result_keeps_its_note_wherever_it_stands() -> None:
    """Its row in the section, which has it, is hidden meanwhile."""
    related = [{"url": "RelatedClinicalContent", "valueReference": to("Observation/peak flow")}]
    page = Page(problem(extension=related), result(note=[{"text": "Haemolysed sample: repeat"}]))
    (view,) = read(page.by(Way.PROBLEM))
    assert "Note: Haemolysed sample: repeat" in view
    assert "Haemolysed sample: repeat" in page.rows.of(page.entries[1].item)


def test_what_was_recorded_in_a_contact_stands_under_it() -> None:
    inside = {"encounter": to("Encounter/visit")}
    page = Page(contact(), result(**inside), problem(**inside), made("MedicationRequest", "order", **inside))
    (view,) = page.by(Way.CONTACT).views
    assert [(kind.title, kind.count) for kind in view.kinds] == [("Medicines", 1), ("Results", 1), ("Problems", 1)]


def test_what_leads_nowhere_is_no_link_and_nothing_tells_of_it() -> None:
    """What policy hides has no reference left; one that stays leads to nothing that is shown, and counts nowhere."""
    hidden = {"reasonReference": [to("Condition/hidden")], "context": to("Encounter/elsewhere")}
    page = Page(problem(), contact(), medicine(**hidden))
    for way in Way:
        arrangement = page.by(way)
        assert (arrangement.views, arrangement.placed) == ((), frozenset())


def test_a_report_brings_its_results_and_a_medicine_its_orders_once() -> None:
    inside = {"encounter": to("Encounter/visit")}
    statement, order = medicine(basedOn=[to("MedicationRequest/order")]), made("MedicationRequest", "order", **inside)
    report = made("DiagnosticReport", "bloods", result=[to("Observation/peak flow")], **inside)
    page = Page(contact(reasonReference=[to("MedicationStatement/salbutamol")]), report, result(**inside),
                statement, order)  # fmt: skip
    medicines = Block(tuple(page.of("MedicationStatement")), under={
        "MedicationStatement/salbutamol": tuple(page.of("MedicationRequest"))})  # fmt: skip
    arrangement = page.by(Way.CONTACT, Block(tuple(page.of("Encounter"))), others=(medicines,))
    (view,) = arrangement.views
    assert [(kind.title, kind.count, len(kind.rows)) for kind in view.kinds] == [("Medicines", 1, 2), ("Results", 1, 2)]
    assert "cc-row--under" in view.kinds[0].rows[1]
    assert "cc-row--under" in view.kinds[1].rows[1]
    assert arrangement.placed == {entry.reference for entry in page.entries}


def test_a_row_that_stands_again_has_no_anchor_and_is_not_the_one_that_is_journalled() -> None:
    page = Page(problem(), medicine(reasonReference=[to("Condition/asthma")]))
    (view,) = page.by(Way.PROBLEM).views
    assert not any(' id="' in row for row in [*view.heads, *view.kinds[0].rows])
    assert page.rows.made == {}


def test_a_difference_between_organisations_is_told_wherever_the_row_stands() -> None:
    page = Page(problem(), medicine(reasonReference=[to("Condition/asthma")]))
    differing = Differing("Dosage", (("The trust", "2 puffs"), ("The practice", "4 puffs")))
    others = (Block(tuple(page.of("MedicationStatement")), differing=(differing,)),)
    (view,) = read(page.by(Way.PROBLEM, Block(tuple(page.of("Condition"))), others=others))
    assert "What is recorded differs Dosage : The trust has “2 puffs” ; The practice has “4 puffs”" in view


def test_what_is_linked_to_everything_is_in_full_a_few_times_only() -> None:
    problems = [problem(f"p{number}") for number in range(40)]
    everywhere = medicine(reasonReference=[to(f"Condition/p{number}") for number in range(40)])
    views = read(Page(*problems, everywhere).by(Way.PROBLEM))
    assert len(views) == 40
    assert [("2 puffs" in view) for view in views].count(True) == MOST_WHOLE
    assert all("salbutamol" in view for view in views)
    assert all("Stands in full further up" in view for view in views[MOST_WHOLE:])
    assert all(f"p{number}" in view for number, view in enumerate(views))


def test_problems_linked_to_each_other_are_in_full_at_their_own_place() -> None:
    names = [f"p{number}" for number in range(12)]
    problems = [problem(name, evidence=[{"detail": [to(f"Condition/{n}") for n in names]}]) for name in names]
    arrangement = Page(*problems).by(Way.PROBLEM)
    assert all("Stands in full" not in "".join(view.heads) for view in arrangement.views)


def test_side_by_side_stays_so_until_all_of_it_is_shown_elsewhere_and_allergies_always() -> None:
    tied = {"reasonReference": [to("Condition/asthma")]}
    allergy = made("AllergyIntolerance", "nuts", extension=[{"url": "u", "valueReference": to("Condition/asthma")}])
    page = Page(problem(), medicine(**tied), medicine("inhaler"), made("MedicationRequest", "alone", **tied), allergy)
    together, alone = Block(tuple(page.of("MedicationStatement"))), Block(tuple(page.of("MedicationRequest")))
    arrangement = page.by(Way.PROBLEM)
    gone = elsewhere([arrangement], [together, alone])
    assert gone == {"Condition/asthma": "cc-in-problem", "MedicationRequest/alone": "cc-in-problem"}
    assert "nuts" in read(arrangement)[0]
    page.rows.within = gone
    assert 'class="cc-row cc-from-a0 cc-in-problem" id="w1"' in page.rows.row(page.entries[0])


def test_one_problem_of_two_organisations_is_one_view() -> None:
    there = Page(problem(), medicine(reasonReference=[to("Condition/asthma")]))
    there.entries += Page(problem("the same"), source="G85005").entries
    (view,) = there.by(Way.PROBLEM, Block(tuple(there.of("Condition")))).views
    assert [("The trust" in head, "The practice" in head) for head in view.heads] == [(True, False), (False, True)]
    assert view.filters == ""
    (alone,) = there.by(Way.PROBLEM).views
    assert alone.filters == "cc-from-a0"


@pytest.mark.parametrize(
    ("count", "first", "last"),
    [(1, "a0", "a0"), (10, "a0", "a9"), (11, "a0 b0", "a0 b1"), (40, "a0 b0", "a9 b3"), (1000, "a0 b0 c0", "a9 b9 c9")],
)
def test_each_organisation_has_digits_of_its_own(count: int, first: str, last: str) -> None:
    marks = list(filters.of_sources(f"S{number}" for number in range(count)).values())
    assert len(set(marks)) == count
    assert (" ".join(marks[0]), " ".join(marks[-1])) == (first, last)


def test_the_style_sheet_knows_every_digit_and_beyond_them_no_filter_is_offered() -> None:
    style = assets.ASSETS["connect-care.css"].body.decode()
    marks = {mark for each in filters.of_sources(map(str, range(filters.MOST))).values() for mark in each}
    rule = re.compile(r'has\(\.cc-only-(\w+):checked\) \[class\*="cc-from-(\w)"\]:not\(\.cc-from-(\w+)\)')
    found = rule.findall(style)
    assert {only for only, _, kept in found if only == kept} == marks
    assert all(only[0] == digit for only, digit, _ in found)
    assert filters.of_sources(map(str, range(filters.MOST + 1))) == {}

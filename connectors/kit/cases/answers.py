"""K01 to K03: what a connector says when all is well."""

from __future__ import annotations

from connectors.kit.registry import case, require
from connectors.kit.stand import Stand
from connectors.kit.whose import taken_for
from connectors.sdk.model import Outcome, Section


@case("K01", "found")
async def found(stand: Stand) -> str:
    settled = await stand.ask()
    said = settled.in_words
    require(settled.answer is not None and settled.outcome is Outcome.ANSWERED, f"{said}, where answered is due")
    for section in sorted(stand.subject.sections):
        require(
            settled.of_section(section), f"brought nothing in {section.value}, though the patient has something there"
        )
    number = stand.subject.kit.patient
    patients = [item for item in taken_for(settled.items, number) if item.type == "Patient"]
    require(len(patients) == 1, f"brought {len(patients)} Patients who carry the NHS number; the record needs one")
    ours = {id(item) for item in taken_for(settled.items, number)}
    strays = [item for item in settled.items if item.section is not None and id(item) not in ours]
    require(not strays, f"{len(strays)} items don't lead to the Patient, so nobody could tell whose they are")
    return said


@case("K02", "known, and nothing recorded", skippable=True)
async def empty(stand: Stand) -> str:
    number = stand.subject.kit.empty
    require(number is not None, "kit.empty names nobody; name a person with an empty section, or skip this case")
    settled = await stand.ask(number)
    said = settled.in_words
    require(settled.answer is not None and settled.outcome is Outcome.ANSWERED, f"{said}, where answered is due")
    require(settled.of_section(Section.DEMOGRAPHICS), f"{said}, and no Patient: known is more than not known")
    without = [section.value for section in sorted(stand.subject.sections) if not settled.of_section(section)]
    require(without, "every section of kit.empty has items, so the case shows nothing; name somebody else")
    return f"{said}; nothing in {', '.join(without)}"


@case("K03", "not known")
async def unknown(stand: Stand) -> str:
    settled = await stand.ask(stand.subject.kit.unknown)
    said = settled.in_words
    require(settled.requests, "asked nothing")
    require(settled.outcome is Outcome.NO_RECORD, f"{said}, where no record is due")
    require(not settled.items, f"{said}: items of a patient who isn't known")
    require(not settled.gaps, f"{said}: not known is an answer, and leaves no gap")
    return said

"""Finding what a Query asks for, and the lies that a sandbox tells when its switch is set to lie."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from connectors.fhir_r4.sandbox.holdings import Holdings, Stored
from connectors.fhir_r4.sandbox.query import Query, matches
from connectors.kit.faults import Mode

_QUIET_LIES = 2


def search(holdings: Holdings, query: Query, mode: Mode = Mode.WELL) -> list[Stored]:
    """Every match, in the order of the data; in a lying mode, what the lie makes of it."""
    asked = patients_asked(holdings, query)
    if asked is None:
        return _keep(holdings.by_type[query.type], query)
    if mode is Mode.LYING:
        return _of(holdings, [someone_else(holdings, asked, query.type)], query.type)
    found = [stored for patient in asked for stored in _keep(holdings.of_patient(patient, query.type), query)]
    if mode is Mode.LYING_QUIETLY and query.type != "Patient":
        other = holdings.of_patient(someone_else(holdings, asked, query.type), query.type)
        found[1:1] = (_keep(other, query) or other)[:_QUIET_LIES]
    return found


def patients_asked(holdings: Holdings, query: Query) -> list[str] | None:
    """The local ids that the question is about, each held here; None where it isn't about anyone."""
    groups = [*query.patients]
    if query.type == "Patient":
        groups += [*query.ids, *([_identified(holdings, query)] if _names_identifier(query) else [])]
    groups += [[p for token in group for p in holdings.patient_ids.get(token, ())] for group in query.patient_tokens]
    if not groups:
        return None
    first, *others = groups
    return [patient for patient in dict.fromkeys(first) if all(patient in other for other in others)]


def someone_else(holdings: Holdings, asked: Sequence[str], kind: str) -> str:
    """The next patient after the first one asked for who has resources of this type; for nobody known, the first."""
    patients = [stored.id for stored in holdings.by_type["Patient"]]
    start = patients.index(asked[0]) + 1 if asked and asked[0] in patients else 0
    ring = [patient for patient in patients[start:] + patients[:start] if patient not in asked]
    return next((patient for patient in ring if holdings.of_patient(patient, kind)), "")


def everything(holdings: Holdings, patient: str, mode: Mode = Mode.WELL) -> tuple[list[Stored], list[Stored]]:
    """All of a patient's resources, and what those refer to. Lies as `search` does."""
    if mode is Mode.LYING:
        patient = someone_else(holdings, [patient], "Patient")
    found = [stored for group in list(holdings.by_patient[patient].values()) for stored in group]
    if mode is Mode.LYING_QUIETLY:
        other = holdings.by_patient[someone_else(holdings, [patient], "Patient")]
        found[1:1] = [stored for group in list(other.values()) for stored in group if stored.type != "Patient"][:3]
    if mode is Mode.NO_ALLERGIES:
        found = [stored for stored in found if stored.type != "AllergyIntolerance"]
    return found, referred(holdings, found, (key for stored in found for key in stored.refers_to))


def referred(holdings: Holdings, found: Iterable[Stored], keys: Iterable[str]) -> list[Stored]:
    """The resources behind `keys` that are held here and not found already, each once."""
    already = {stored.key for stored in found}
    wanted = dict.fromkeys(key for key in keys if key not in already)
    return [holdings.by_key[key] for key in wanted if key in holdings.by_key]


def _of(holdings: Holdings, patients: Iterable[str], kind: str) -> list[Stored]:
    return [stored for patient in patients for stored in holdings.of_patient(patient, kind)]


def _names_identifier(query: Query) -> bool:
    return any(name == "identifier" for name, _ in query.tokens)


def _identified(holdings: Holdings, query: Query) -> list[str]:
    wanted = [values for name, values in query.tokens if name == "identifier"]
    return [
        stored.id
        for stored in holdings.by_type["Patient"]
        if all(matches(stored.tokens["identifier"], values) for values in wanted)
    ]


def _keep(stored: Iterable[Stored], query: Query) -> list[Stored]:
    return [
        one
        for one in stored
        if all(one.id in ids for ids in query.ids)
        and all(matches(one.tokens[name], values) for name, values in query.tokens)
    ]

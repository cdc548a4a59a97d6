"""Questions that feel for what is hidden: every own door that searches or reads, with words that the hidden items hold.

Whoever asks knows the worst: the codes, dates and statuses of everything that is recorded of the patient, and the ids
of what is hidden, as somebody would who has seen more of the record elsewhere.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

from connectors.sdk.model import NHS_NUMBER_SYSTEM, Section
from gateway.search.param import Kind, Param
from gateway.search.supporting import INCLUDES, SUPPORTING_READS
from gateway.search.table import OFFERED, SHOWN_TYPES

FHIR: Final = "/fhir/R4"
_PREFIXES: Final = ("", "", "", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap")
_ELEMENTS: Final = ("id", "code", "status", "subject", "meta", "encounter", "date", "result", "nonsense")
_WRONG: Final = ("code:not", "code:missing", "_has:Observation:patient:code", "encounter.date", "_filter", "_query")
_MOST_ENTRIES: Final = 4


@dataclass(frozen=True, slots=True)
class Question:
    """One request: `body` is JSON, or a form where it is text."""

    method: str
    path: str
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Known:
    """What the asker knows of one patient. `ids` are (type, sealed id)."""

    patient: str
    codes: Sequence[tuple[str, str]]
    dates: Sequence[str]
    statuses: Sequence[str]
    ids: Sequence[tuple[str, str]]


def known_of(patient: str, resources: Iterable[Mapping[str, Any]]) -> Known:
    """Every code, date, status and id of these resources."""
    codes: set[tuple[str, str]] = set()
    dates: set[str] = set()
    statuses: set[str] = set()
    found = list(resources)
    for node in _nodes(found):
        if isinstance(node.get("code"), str) and isinstance(node.get("system"), str):
            codes.add((node["system"], node["code"]))
        texts = {name: value for name, value in node.items() if isinstance(value, str)}
        statuses |= {value for name, value in texts.items() if name in ("status", "intent", "criticality")}
        dates |= {value for value in texts.values() if len(value) >= 10 and value[:4].isdigit() and value[4] == "-"}
    ids = sorted((str(one["resourceType"]), str(one["id"])) for one in found)
    return Known(patient, sorted(codes), sorted(dates), sorted(statuses), ids)


def _nodes(node: Any) -> Iterable[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
    for inner in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _nodes(inner)


class Asker:
    """Makes questions, always the same from the same seed."""

    def __init__(self, known: Known, seed: int) -> None:
        self.known = known
        self.chance = random.Random(seed)
        self._kinds: Sequence[tuple[int, Callable[[], Question]]] = (
            (50, self.search),
            (9, self.posted),
            (8, self.compartment),
            (13, self.read),
            (6, self.everything),
            (2, self.posted_everything),
            (1, self.summary),
            (4, self.records),
            (3, self.patient),
            (4, self.batch),
        )

    def question(self) -> Question:
        """The next one."""
        weights = [weight for weight, _ in self._kinds]
        return self.chance.choices([make for _, make in self._kinds], weights)[0]()

    def search(self) -> Question:
        """A search of one type."""
        kind = self.chance.choice(list(OFFERED))
        return self._get(f"{FHIR}/{kind}", [("patient", self.known.patient), *self._pairs(kind)])

    def posted(self) -> Question:
        """The same, its parameters in the body."""
        kind = self.chance.choice(list(OFFERED))
        form = _encoded([("patient", self.known.patient), *self._pairs(kind)])
        return Question("POST", f"{FHIR}/{kind}/_search", form, {"Content-Type": "application/x-www-form-urlencoded"})

    def compartment(self) -> Question:
        """The same below the patient's address."""
        kind = self.chance.choice(list(OFFERED))
        return self._get(f"{FHIR}/Patient/{self.known.patient}/{kind}", self._pairs(kind))

    def read(self) -> Question:
        """By an id that may be shown, hidden, of another type or of nothing at all."""
        kind, id_ = self.chance.choice(self.known.ids)
        if self.chance.random() < 0.15:
            kind = self.chance.choice([*SHOWN_TYPES, *SUPPORTING_READS])
        if self.chance.random() < 0.15:
            place = self.chance.randrange(len(id_))
            id_ = id_[:place] + self.chance.choice("abcdefgh234567") + id_[place + 1 :]
        return self._get(f"{FHIR}/{kind}/{id_}", self._shape(kind) if self.chance.random() < 0.3 else [])

    def everything(self) -> Question:
        """The whole record, or what parameters leave of it."""
        return self._get(f"{FHIR}/Patient/{self.known.patient}/$everything", self._of_everything())

    def posted_everything(self) -> Question:
        """The same, its parameters as a resource."""
        given = [{"name": name, "valueString": value} for name, value in self._of_everything()]
        body = {"resourceType": "Parameters", **({"parameter": given} if given else {})}
        return Question("POST", f"{FHIR}/Patient/{self.known.patient}/$everything", body)

    def summary(self) -> Question:
        """The International Patient Summary."""
        return self._get(f"{FHIR}/Patient/{self.known.patient}/$summary", [])

    def records(self) -> Question:
        """The own API's door."""
        sections = self.chance.sample([section.value for section in Section], self.chance.randrange(4))
        return Question("POST", "/records", {"nhsNumber": self.known.patient, "sections": sections})

    def patient(self) -> Question:
        """A search for the patient, with what shapes the answer."""
        number = f"{NHS_NUMBER_SYSTEM}|{self.known.patient}"
        return self._get(f"{FHIR}/Patient", [("identifier", number), *self._shape("Patient")])

    def batch(self) -> Question:
        """Several reads and searches in one Bundle."""
        makes = (self.search, self.compartment, self.read, self.everything)
        asked = [self.chance.choice(makes)().path for _ in range(self.chance.randint(1, _MOST_ENTRIES))]
        entries = [{"request": {"method": "GET", "url": path.removeprefix(f"{FHIR}/")}} for path in asked]
        return Question("POST", FHIR, {"resourceType": "Bundle", "type": "batch", "entry": entries})

    def _get(self, path: str, pairs: list[tuple[str, str]]) -> Question:
        lenient = {"Prefer": "handling=lenient"} if self.chance.random() < 0.05 else {}
        return Question("GET", path + (f"?{_encoded(pairs)}" if pairs else ""), None, lenient)

    def _pairs(self, kind: str) -> list[tuple[str, str]]:
        params = self.chance.sample(list(OFFERED[kind].params.values()), self.chance.choice([0, 1, 1, 2]))
        pairs = [(param.name, self._value(param)) for param in params]
        if self.chance.random() < 0.15:
            pairs.append(("_id", ",".join(id_ for _, id_ in self.chance.sample(self.known.ids, 2))))
        if self.chance.random() < 0.15:
            includes = [name for name in INCLUDES if name.startswith(f"{kind}:")]
            pairs.append(("_include", self.chance.choice([*includes, f"{kind}:patient", "*"])))
        if self.chance.random() < 0.04:
            pairs.append((self.chance.choice(_WRONG), "x"))
        return [*pairs, *self._shape(kind)]

    def _value(self, param: Param) -> str:
        several = self.chance.choice([1, 1, 1, 2])
        make = self._token if param.kind is Kind.TOKEN else self._date
        return ",".join(make() for _ in range(several))

    def _token(self) -> str:
        if self.chance.random() < 0.3:
            return self.chance.choice(self.known.statuses)
        system, code = self.chance.choice(self.known.codes)
        return self.chance.choice([code, f"{system}|{code}", f"{system}|", f"|{code}", f"{code}0"])

    def _date(self) -> str:
        at = self.chance.choice(self.known.dates)
        whole = at if len(at) > 10 and (at.endswith("Z") or "+" in at[10:] or "-" in at[10:]) else at[:10]
        return self.chance.choice(_PREFIXES) + self.chance.choice([whole, at[:10], at[:7], at[:4]])

    def _shape(self, kind: str) -> list[tuple[str, str]]:
        pairs = []
        if self.chance.random() < 0.45:
            pairs.append(("_count", str(self.chance.choice([0, 1, 1, 2, 2, 3, 5, 10, 50]))))
        if self.chance.random() < 0.25 and kind in OFFERED:
            keys = self.chance.sample([*OFFERED[kind].sorts, "_id"], 1)
            pairs.append(("_sort", self.chance.choice(["", "-"]) + keys[0]))
        if self.chance.random() < 0.15:
            pairs.append(("_summary", self.chance.choice(["true", "text", "data", "count", "false"])))
        if self.chance.random() < 0.12:
            pairs.append(("_elements", ",".join(self.chance.sample(_ELEMENTS, 2))))
        if self.chance.random() < 0.08:
            pairs.append(("_total", self.chance.choice(["none", "estimate", "accurate"])))
        return pairs

    def _of_everything(self) -> list[tuple[str, str]]:
        pairs = []
        if self.chance.random() < 0.4:
            pairs.append(("_type", ",".join(self.chance.sample(SHOWN_TYPES, self.chance.randint(1, 3)))))
        if self.chance.random() < 0.3:
            pairs.append(("_since", self.chance.choice(self.known.dates)[:10]))
        ends = [name for name in ("start", "end") if self.chance.random() < 0.3]
        pairs += [(name, self.chance.choice(self.known.dates)[:10]) for name in ends]
        if self.chance.random() < 0.5:
            pairs.append(("_count", str(self.chance.choice([0, 1, 3, 7, 20]))))
        return pairs


def _encoded(pairs: Iterable[tuple[str, str]]) -> str:
    return "&".join(f"{quote(name, safe='_:.')}={quote(value, safe='')}" for name, value in pairs)


def content_of(question: Question) -> bytes | None:
    """Its body as bytes."""
    if question.body is None or isinstance(question.body, str):
        return question.body.encode() if question.body else None
    return json.dumps(question.body).encode()

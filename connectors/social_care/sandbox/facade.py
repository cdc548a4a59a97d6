"""A council's facade as its supplier would build it: three searches, no pages, no `fullUrl`, no `search.mode`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import parse_qs

import msgspec

from connectors.kit.asgi import FHIR_JSON, Receive, Scope, Send, outcome, reply
from connectors.kit.faults import Mode, mode_of
from connectors.social_care.sandbox.holdings import SUBJECT, SUPPORTING, Held, Holdings

_encode: Final = msgspec.json.Encoder(decimal_format="number").encode
_ALWAYS: Final = frozenset({"resourceType", "id", "meta"})
_QUIET_LIES: Final = 2


class Refusal(Exception):
    """The facade answers with an error. `code` is of the R4 value set issue-type."""

    def __init__(self, status: int, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.code, self.sentence = status, code, sentence


class Facade:
    """ASGI app over `holdings`, under /fhir. A careless one sends all it holds of a resource, whatever was asked."""

    def __init__(self, holdings: Holdings, *, careless: bool = False, cap: int = 100) -> None:
        self._holdings = holdings
        self._careless = careless
        self._cap = cap

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            status, body = 200, self._answer(scope)
        except Refusal as refusal:
            status, body = refusal.status, outcome(refusal.code, refusal.sentence)
        await reply(send, status, body, FHIR_JSON)

    def _answer(self, scope: Scope) -> bytes:
        if scope["method"] != "GET":
            raise Refusal(405, "not-supported", "This facade is read only.")
        kind = scope["path"].removeprefix("/fhir").strip("/")
        query = {name: values[0] for name, values in parse_qs(scope["query_string"].decode("ascii", "replace")).items()}
        if kind == "metadata":
            return _capability(self._holdings.ods)
        if kind == "Patient":
            return self._bundle(kind, self._people(query, mode_of(scope)), query)
        if kind in SUBJECT:
            return self._bundle(kind, self._about(kind, query, mode_of(scope)), query)
        raise Refusal(404, "not-supported", "This facade has people, cases and contacts, and nothing else.")

    def _people(self, query: dict[str, str], mode: Mode) -> list[Held]:
        system, bar, value = query.get("identifier", "").partition("|")
        if not (system and bar and value):
            raise Refusal(400, "required", "People are found by identifier=system|value alone, never by name.")
        found = self._holdings.with_number(system, value)
        return self._somebody_else(found) if mode is Mode.LYING and found else found

    def _about(self, kind: str, query: dict[str, str], mode: Mode) -> list[Held]:
        person_id = query.get("patient", "")
        if not person_id:
            raise Refusal(400, "required", "Cases and contacts are found by patient=id alone.")
        found = self._holdings.about(kind, person_id)
        if mode is Mode.LYING_QUIETLY:
            others = [one for one in self._holdings.of_type(kind) if one not in found]
            found[1:1] = others[:_QUIET_LIES]
        return found

    def _somebody_else(self, found: Sequence[Held]) -> list[Held]:
        return [one for one in self._holdings.of_type("Patient") if one not in found and _has_number(one)][:1]

    def _bundle(self, kind: str, matches: list[Held], query: dict[str, str]) -> bytes:
        """The matches up to the cap, newest first, then whom and what they name; `total` counts all matches."""
        sent = matches[: min(self._cap, _count(query))]
        elements = query.get("_elements")
        asked = frozenset(elements.split(",")) if elements and not self._careless else None
        named = self._holdings.named_in(sent) if kind != "Patient" else []
        resources = [*(_only(one, asked) for one in sent), *(_plain(one, self._careless) for one in named)]
        body: dict[str, Any] = {"resourceType": "Bundle", "type": "searchset", "total": len(matches)}
        if resources:
            body["entry"] = [{"resource": resource} for resource in resources]
        return _encode(body)


def _only(resource: Held, asked: frozenset[str] | None) -> Held:
    if asked is None:
        return resource
    # A reason that was typed isn't one that was chosen; the contract sends the chosen ones.
    chosen = [one for one in resource.get("reasonCode", ()) if "coding" in one]
    wanted = (asked | _ALWAYS) - (set() if chosen else {"reasonCode"})
    return {name: chosen if name == "reasonCode" else value for name, value in resource.items() if name in wanted}


def _plain(resource: Held, careless: bool) -> Held:
    """A worker, team or place without what is written about it."""
    return (
        resource if careless else {name: one for name, one in resource.items() if name not in ("text", "description")}
    )


def _has_number(person: Held) -> bool:
    return any("nhs-number" in one.get("system", "") for one in person["identifier"])


def _count(query: dict[str, str]) -> int:
    text = query.get("_count", "1000")
    if not (text.isascii() and text.isdigit()):
        raise Refusal(400, "invalid", "_count has to be a whole number.")
    return int(text)


def _capability(ods: str) -> bytes:
    found = {"Patient": ("identifier", "token"), **dict.fromkeys(SUBJECT, ("patient", "reference"))}
    listed: list[dict[str, Any]] = [
        {
            "type": kind,
            "interaction": [{"code": "search-type"}],
            "searchParam": [{"name": name, "type": of}],
        }
        for kind, (name, of) in found.items()
    ]
    return _encode(
        {
            "resourceType": "CapabilityStatement",
            "status": "active",
            "date": "2026-09-01",
            "kind": "instance",
            "implementation": {"description": f"A sandbox that stands for {ods}; every person is invented."},
            "fhirVersion": "4.0.1",
            "format": ["application/fhir+json"],
            "rest": [{"mode": "server", "resource": [*listed, *({"type": kind} for kind in sorted(SUPPORTING))]}],
        }
    )

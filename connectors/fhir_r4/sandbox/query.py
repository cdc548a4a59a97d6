"""A FHIR search question, read. What a server doesn't understand it refuses (or, where it is lenient, ignores)."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from connectors.fhir_r4.sandbox.elements import INCLUDES, PATIENT_PARAMETERS, TOKENS, Token
from connectors.fhir_r4.sandbox.flavours import Flavour


class Refusal(Exception):
    """The server answers with an error. `code` is of the R4 value set issue-type."""

    def __init__(self, status: int, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.code, self.sentence = status, code, sentence


@dataclass(slots=True)
class Query:
    """One search. Each list of alternatives is joined by OR; the lists of one parameter and the parameters by AND."""

    type: str
    patients: list[list[str]] = field(default_factory=list)
    patient_tokens: list[list[Token]] = field(default_factory=list)
    ids: list[list[str]] = field(default_factory=list)
    tokens: list[tuple[str, list[str]]] = field(default_factory=list)
    includes: list[str] = field(default_factory=list)
    count: int | None = None


def read_query(kind: str, text: str, flavour: Flavour) -> Query:
    """Read the query string of a search for resources of type `kind`. Raises Refusal (400)."""
    query = Query(kind)
    for name, value in parse_qsl(text, keep_blank_values=True):
        known = _take_patient(query, name, value) or _take(query, name, value)
        if not known and not flavour.lenient:
            raise Refusal(400, "not-supported", f"The search parameter {name} is not supported for {kind}.")
    return query


def _take_patient(query: Query, name: str, value: str) -> bool:
    """Take `patient=…` or `patient.identifier=…` (also with `:Patient`); False where it is another parameter."""
    stem, dot, chain = name.partition(".")
    if stem.removesuffix(":Patient") not in PATIENT_PARAMETERS.get(query.type, ()) or not value:
        return False
    if not dot:
        query.patients.append([text.rpartition("Patient/")[2] for text in value.split(",")])
    elif chain == "identifier":
        query.patient_tokens.append([_token(text) for text in value.split(",")])
    else:
        return False
    return True


def _take(query: Query, name: str, value: str) -> bool:
    """Take any other parameter; False where this type has none of the name."""
    if name == "_id":
        query.ids.append(value.split(","))
    elif name == "_count":
        query.count = _count(value)
    elif name == "_include":
        query.includes.append(_include(query.type, value))
    elif name in TOKENS[query.type]:
        query.tokens.append((name, value.split(",")))
    else:
        return name == "_format"
    return True


def matches(held: frozenset[Token], wanted: list[str]) -> bool:
    """Whether one of `system|code`, `|code`, `system|` or `code` (any system) is among the tokens held."""
    for text in wanted:
        system, bar, code = text.partition("|")
        if not bar:
            found = any(code_held == text for _, code_held in held)
        elif code:
            found = (system, code) in held
        else:
            found = any(system_held == system for system_held, _ in held)
        if found:
            return True
    return False


def _token(text: str) -> Token:
    system, bar, code = text.partition("|")
    return (system, code) if bar else ("", text)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 7):
        raise Refusal(400, "invalid", "_count has to be a whole number.")
    return int(text)


def _include(kind: str, text: str) -> str:
    """The parameter of `_include=Type:parameter[:Target]`. Raises Refusal where this type has no such include."""
    if text == "*":
        return text
    source, _, parameter = text.partition(":")
    parameter = parameter.partition(":")[0]
    if source != kind or parameter not in ("*", *INCLUDES.get(kind, {})):
        raise Refusal(400, "not-supported", f"This include is not supported for {kind}.")
    return parameter

"""FHIR tokens: how a search value is read, and the coded values that a resource holds (FHIR R4, Search, token).

Codes are compared without regard to case, systems exactly. R4: "When in doubt, servers SHOULD treat tokens in a
case-insensitive manner, on the grounds that including undesired data has less safety implications than excluding".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from gateway.search.query import Token

_ESCAPED: Final = frozenset("\\,|$")


def split(text: str, separator: str) -> list[str]:
    """Split at each unescaped separator; escapes stay. Raises ValueError for a backslash that escapes nothing."""
    parts, current, characters = [], "", iter(text)
    for character in characters:
        if character == "\\":
            escaped = next(characters, "")
            if escaped not in _ESCAPED or not escaped:
                raise ValueError("a backslash escapes only a comma, a bar, a dollar sign or itself")
            current += character + escaped
        elif character == separator:
            parts.append(current)
            current = ""
        else:
            current += character
    return [*parts, current]


def unescape(text: str) -> str:
    """The text that an escaped piece stands for; the piece comes from `split`."""
    characters = iter(text)
    return "".join(next(characters) if character == "\\" else character for character in characters)


def parse_token(text: str) -> Token:
    """One alternative: `code`, `system|code`, `|code` or `system|`. Raises ValueError."""
    pieces = [unescape(piece) for piece in split(text, "|")]
    if len(pieces) > 2 or not any(pieces):
        raise ValueError("a token is a code, or a system, a bar and a code")
    if any(piece != piece.strip() for piece in pieces):
        raise ValueError("a token has no white space at its ends")
    if len(pieces) == 1:
        return Token(None, pieces[0].casefold())
    return Token(pieces[0], pieces[1].casefold() or None)


def values(resource: dict[str, Any], path: str) -> list[object]:
    """What stands at a dotted path, lists laid flat. Whatever is missing or of another shape yields nothing."""
    if "." not in path:
        return _flat(resource.get(path))
    found: list[object] = [resource]
    for step in path.split("."):
        found = [inner for value in found if isinstance(value, dict) for inner in _flat(value.get(step))]
    return found


def _flat(value: object) -> list[object]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def codings(value: object) -> Iterator[tuple[str, str]]:
    """(system, folded code) of each coded value in a Coding, CodeableConcept or Identifier, or of a bare code."""
    if isinstance(value, str):
        yield "", value.casefold()
    elif isinstance(value, dict):
        inner = value.get("coding")
        for coding in inner if isinstance(inner, list) else (value,):
            if isinstance(coding, dict):
                code, system = coding.get("code", coding.get("value")), coding.get("system", "")
                if isinstance(code, str) and isinstance(system, str):
                    yield system, code.casefold()


@dataclass(frozen=True, slots=True)
class TokenTest:
    """The alternatives of a token search, sorted into sets by what they leave open."""

    codes: frozenset[str]
    systems: frozenset[str]
    exact: frozenset[tuple[str, str]]

    @classmethod
    def of(cls, choices: Iterable[Token]) -> TokenTest:
        every = list(choices)
        return cls(
            frozenset(one.code for one in every if one.system is None and one.code is not None),
            frozenset(one.system for one in every if one.code is None and one.system is not None),
            frozenset((one.system, one.code) for one in every if one.system is not None and one.code is not None),
        )

    def holds(self, value: object, bound: str = "") -> bool:
        """True where the element holds what any alternative asks for.

        An element of type `code` carries no system, yet FHIR binds one to it (`bound`): `|final` and
        `<that system>|final` both match.
        """
        if isinstance(value, str) and bound:
            folded = value.casefold()
            if (bound, folded) in self.exact or bound in self.systems:
                return True
        for system, code in codings(value):
            if code in self.codes or system in self.systems or (system, code) in self.exact:
                return True
        return False

"""`Prefer: handling=lenient`: which parameters a search may go without, and which it never does.

A client that asks for lenience gets an answer that is wider than its question. That is bearable where a filter isn't
known: it is told so, and everything in the answer is still of the one patient. It isn't where the parameter says whose
record is asked for, or who is sought; where it asks through one item about another (chains, `_has`), which is how one
feels for what is hidden; or where it turns a question round (R4: an unknown modifier is refused). Values that can't be
read are refused too: nobody asked for them to be left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from gateway.search.refuse import echo
from gateway.search.supporting import include

_PLAIN: Final = re.compile(r"_?[A-Za-z][A-Za-z0-9-]{0,62}", re.ASCII)
_WHOSE: Final = frozenset({
    "patient", "subject", "identifier", "_id", "id", "name", "family", "given", "birthdate", "gender", "phone", "email",
    "telecom", "address", "address-postalcode", "address-city", "address-country", "address-state", "address-use",
    "death-date", "deceased", "link", "individual", "beneficiary", "member", "actor", "person", "related-person",
    "general-practitioner", "organization", "nhs-number", "nhsnumber",
})  # fmt: skip
_ABOUT_WHOM: Final = ("patient", "subject", "nhs", "surname", "dob", "postcode")
_WHOLE_QUESTIONS: Final = frozenset(
    {"_has", "_filter", "_query", "_text", "_content", "_list", "_cursor", "_type", "_page", "_offset", "page"}
)

Pairs = Sequence[tuple[str, str]]


def may_ignore(name: str) -> bool:
    """True for a plain name (no modifier, no chain) that doesn't say whose record it is, whatever its letter case."""
    plain = name.casefold()
    says_whose = plain in _WHOSE or plain.replace("-", "").replace("_", "").startswith(_ABOUT_WHOM)
    return bool(_PLAIN.fullmatch(name)) and not says_whose and plain not in _WHOLE_QUESTIONS


def without_unknown(
    pairs: Pairs, offered: Sequence[str], known: Callable[[str], bool]
) -> tuple[Pairs, tuple[str, ...]]:
    """The pairs that are used, and the names of those that aren't, each once, as they may be told.

    `known` says whether an `_include` is one that this search takes. What may not be ignored stays, to be refused.
    """
    kept: list[tuple[str, str]] = []
    ignored: dict[str, None] = {}
    for name, value in pairs:
        unknown_include = name == "_include" and not all(map(known, value.split(",")))
        if (name in offered and not unknown_include) or not may_ignore(name):
            kept.append((name, value))
        else:
            ignored[echo(name)] = None
    return kept, tuple(ignored)


def known_include(resource_type: str) -> Callable[[str], bool]:
    """Whether a value of `_include` is one that a search of this type takes."""
    return lambda text: include(resource_type, text) is not None

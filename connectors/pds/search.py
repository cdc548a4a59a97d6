"""Finding the one person who fits, by the register's own rules: what is asked, and what of its answer is believed.

The search is plain: no wildcard, no fuzzy match, no history, and one match at most (`_max-results=1`). The register
writes an access into the record of everybody whom a search matches, and a list of namesakes would show strangers to
whoever searches; so where several fit, nobody is listed and more details are asked for.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import date
from typing import Any, Final
from urllib.parse import urlencode

from connectors.pds.outcomes import TOO_MANY_MATCHES, codes_of, instead
from connectors.pds.patient import is_restricted, number_of
from connectors.sdk.bundle import Entry, read_bundle
from connectors.sdk.errors import NotUnderstood, WrongContent
from connectors.sdk.model import Found, PersonSought, Resource

LONGEST_NAME: Final = 35
"""Characters: the register's own limit for family and given names."""

_GENDERS: Final = frozenset({"male", "female", "other", "unknown"})
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_WITHOUT_STROKE: Final = str.maketrans({"ł": "l", "ø": "o", "đ": "d", "æ": "ae", "œ": "oe", "ı": "i"})
"""Letters that Unicode doesn't take for an accented plain one."""
_POSTCODE: Final = re.compile(r"[A-Z][A-Z0-9]{3,5}[A-Z]", re.ASCII)


class NotSearchable(NotUnderstood, ValueError):
    """The details can't be searched by, so the register isn't asked. The text says why and repeats none of them."""


def query_of(sought: PersonSought) -> str:
    """The search as a query string. Raises NotSearchable."""
    query = [
        ("family", _name(sought.family, "family name")),
        ("given", _name(sought.given, "given name")),
        ("birthdate", f"eq{_birth_date(sought.birth_date)}"),
    ]
    if sought.gender is not None:
        query.append(("gender", _gender(sought.gender)))
    if sought.postcode is not None:
        query.append(("address-postalcode", _postcode(sought.postcode)))
    return urlencode([*query, ("_max-results", "1")])


def _name(text: str, what: str) -> str:
    """A name as it was typed, without the space around it. A `*` would be a wildcard: it finds people nobody named."""
    name = text.strip()
    if not _letters(name) or len(name) > LONGEST_NAME or not name.isprintable():
        raise NotSearchable(f"The {what} must have 1 to {LONGEST_NAME} characters, and a letter among them.")
    if "*" in name:
        raise NotSearchable(f"The {what} must be whole: a search by its beginning is not made.")
    return name


def _birth_date(text: str) -> str:
    try:
        if _DATE.fullmatch(text):
            return date.fromisoformat(text).isoformat()
    except ValueError as error:
        raise NotSearchable("The birth date does not exist. Check it.") from error
    raise NotSearchable("The birth date must be whole: year, month and day (YYYY-MM-DD).")


def _gender(text: str) -> str:
    if text not in _GENDERS:
        raise NotSearchable(f"The gender must be one of: {', '.join(sorted(_GENDERS))}.")
    return text


def _postcode(text: str) -> str:
    postcode = "".join(text.split()).upper()
    if not _POSTCODE.fullmatch(postcode):
        raise NotSearchable("The postcode must be whole, with both its parts.")
    return postcode


def judge(body: bytes, sought: PersonSought) -> Found:
    """What the register's answer comes to. Raises a `SourceError` where it can't be believed.

    A restricted person looks like nobody, and so does one who fits in part (a score under 1).
    """
    codes = codes_of(body)
    if codes is not None:
        if TOO_MANY_MATCHES in codes:
            return Found(too_many=True)
        raise instead(codes)
    matches, counted = _matches(body)
    if max(len(matches), counted) > 1:
        return Found(too_many=True)
    if len(matches) != counted:
        raise WrongContent("the register counts other matches than it sends")
    return _the_one(matches[0], sought) if matches else Found()


def _matches(body: bytes) -> tuple[list[Entry], int]:
    """The Patients of a searchset, and how many the register says there are."""
    page = read_bundle(body)
    if page.held_back or page.next is not None:
        raise WrongContent("the search did not come whole")
    if any(entry.mode != "match" or entry.resource["resourceType"] != "Patient" for entry in page.entries):
        raise WrongContent("the search brought something other than Patients")
    return page.entries, len(page.entries) if page.total is None else page.total


def _the_one(entry: Entry, sought: PersonSought) -> Found:
    if is_restricted(entry.findings):
        return Found()
    if not isinstance(entry.score, bool) and entry.score == 1:
        number_of(entry.resource)
        if not _agrees(entry.resource, sought):
            raise WrongContent("the person found is not the one who was sought")
        return Found(entry.resource)
    if entry.score is None:
        raise WrongContent("the register does not say how well the person fits")
    return Found()


def _agrees(patient: Resource, sought: PersonSought) -> bool:
    """True where birth date and one of the names are those that were asked for: certain by the register's word alone is
    not enough, since an answer to another search looks as certain."""
    return patient.get("birthDate") == sought.birth_date and any(
        _letters(str(name.get("family", ""))) == _letters(sought.family) and _given(name, sought.given)
        for name in patient.get("name", ())
    )


def _given(name: dict[str, Any], sought: str) -> bool:
    held = _letters("".join(part for part in name.get("given", ()) if part))
    return all(_letters(word) in held for word in sought.split())


def _letters(text: str) -> str:
    """The letters alone, without case and accents: the register finds `attisón` by `ATTISON`."""
    plain = unicodedata.normalize("NFKD", text.casefold()).translate(_WITHOUT_STROKE)
    return "".join(letter for letter in plain if letter.isalnum())

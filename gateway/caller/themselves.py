"""What an issuer says of a caller as a private person: compared with the patient for the privacy officer's alerts.

OpenID Connect's standard claims (`family_name`, `given_name`, `birthdate`, `address`), NHS login's `nhs_number`, and
Care Identity's `name`. All are optional, and one that isn't as its standard writes it counts as not given: a clinician
is not kept from a patient for it. They are compared in memory, never kept, journalled or logged.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from connectors.sdk.nhs_number import parse_nhs_number

_LONGEST: Final = 200
_DATE: Final = re.compile(r"[12][0-9]{3}-[01][0-9]-[0-3][0-9]", re.ASCII)
"""OpenID Connect lets an issuer leave out the year (0000): such a date tells nobody apart."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Themselves:
    """A caller as a private person; "" (and None) where the issuer doesn't say.

    `address` is the lines without the postcode where the issuer tells them apart. It has no `repr` of its content.
    """

    family_name: str = ""
    given_name: str = ""
    birth_date: str = ""
    address: str = ""
    postcode: str = ""
    nhs_number: str | None = None

    def __repr__(self) -> str:
        return "Themselves(…)"


UNKNOWN: Final = Themselves()


def read_themselves(claims: Mapping[str, Any]) -> Themselves:
    """As much as the claims of a verified token say. Raises nothing."""
    family, given = _from_name(_text(claims, "name"))
    birth_date = _text(claims, "birthdate")
    address = claims.get("address")
    home = address if isinstance(address, dict) else {}
    return Themselves(
        family_name=_text(claims, "family_name") or family,
        given_name=_text(claims, "given_name") or given,
        birth_date=birth_date if _DATE.fullmatch(birth_date) else "",
        address=_text(home, "street_address") or _text(home, "formatted"),
        postcode=_text(home, "postal_code"),
        nhs_number=_number(claims),
    )


def _from_name(name: str) -> tuple[str, str]:
    """(family name, given name) of `FAMILY Given Title`, as Care Identity writes it; empty where it isn't so."""
    words = name.split()
    family = next((place for place, word in enumerate(words) if not _is_capitals(word)), len(words))
    if family == 0:
        return "", ""
    if family == len(words):  # all in capitals: where the family name ends can't be told but by its first word
        family = 1
    return " ".join(words[:family]), words[family] if len(words) > family else ""


def _is_capitals(word: str) -> bool:
    return word == word.upper() and word != word.lower()


def _number(claims: Mapping[str, Any]) -> str | None:
    try:
        return parse_nhs_number(_text(claims, "nhs_number"))
    except ValueError:
        return None


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    return value.strip() if isinstance(value, str) and len(value) <= _LONGEST else ""

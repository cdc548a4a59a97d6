"""Whether caller and patient live at the same address: postcode, and number or name of the house."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from connectors.sdk.model import Resource
from gateway.caller.themselves import Themselves
from gateway.desk.names import folded

_LONGEST: Final = 500
_POSTCODE: Final = re.compile(r"(?<![A-Z0-9])([A-Z]{1,2}[0-9][A-Z0-9]?)\s{0,3}([0-9][A-Z]{2})(?![A-Z0-9])", re.ASCII)
_NOWHERE: Final = "ZZ99"
"""The pseudo postcodes (ZZ99 3VZ: no fixed abode) are shared by people who share no home."""
_NUMBER: Final = re.compile(r"(?<![0-9a-z])([0-9]{1,5})\s?([a-z])?(?![0-9a-z])", re.ASCII)
_BREAKS: Final = re.compile(r"[\n\r,;]+")


@dataclass(frozen=True, slots=True)
class Home:
    """One address. `numbers` are those of house and flat, in order; where there is none, `name` is the first line."""

    postcode: str
    numbers: tuple[str, ...]
    name: str


def same_address(caller: Themselves, patient: Resource) -> bool:
    """Whether one of the patient's addresses, former ones too, is the caller's. A postcode alone, which some fifteen
    households share, is not enough."""
    own = _home([caller.address], caller.postcode)
    return own is not None and any(own == home for home in _homes_of(patient))


def _homes_of(patient: Resource) -> Iterable[Home]:
    addresses = patient.get("address")
    for one in addresses if isinstance(addresses, list) else [addresses]:
        if isinstance(one, dict) and (home := _home_of(one)) is not None:
            yield home


def _home_of(address: dict[str, Any]) -> Home | None:
    lines = address.get("line")
    texts = [line for line in lines if isinstance(line, str)] if isinstance(lines, list) else []
    text = address.get("text")
    postcode = address.get("postalCode")
    if not texts and isinstance(text, str):
        texts = [text]
    return _home(texts, postcode if isinstance(postcode, str) else "")


def _home(lines: Iterable[str], postcode: str) -> Home | None:
    """None where there is no real postcode, or neither number nor name. The postcode may stand in the lines."""
    text = "\n".join(lines)[:_LONGEST]
    found = _POSTCODE.search(postcode[:_LONGEST].upper()) or _POSTCODE.search(text.upper())
    if found is None or found[1] == _NOWHERE:
        return None
    text = _POSTCODE.sub("", text.upper()).casefold()
    numbers = tuple(sorted(number + (letter or "") for number, letter in _NUMBER.findall(text)))
    first = next(filter(None, map(folded, _BREAKS.split(text))), "")
    return Home(found[1] + found[2], numbers, "" if numbers else first) if numbers or first else None

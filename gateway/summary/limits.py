"""What a caller never sees of a section, whoever the patient: by their role, or by their application's token."""

from __future__ import annotations

from typing import Final

from connectors.sdk.model import SECTION_OF_TYPE, Section
from gateway.caller.model import Caller
from gateway.policy.told import ROLE_NAMES
from gateway.summary.absence import Limits

_OPEN: Final = Limits()


def limits_of(section: Section | None, caller: Caller, asked: frozenset[Section]) -> Limits:
    """`asked` are the sections that role and token leave (`Manifest.asked`). A function of caller and section alone."""
    types = sorted(kind for kind, of in SECTION_OF_TYPE.items() if of is section)
    readable = [kind for kind in types if caller.grants.lets_read(kind)]
    if section is None or not types:
        return _OPEN
    if section not in asked:
        return Limits(told=_token(types) if not readable else f"never shown to {ROLE_NAMES[caller.role]}.")
    missing = [kind for kind in types if not caller.grants.lets_read_whole(kind)]
    return Limits(partly=_token(missing)) if missing else _OPEN


def _token(types: list[str]) -> str:
    return f"your application's token lets it read {' and '.join(types)} only in part, or not at all."

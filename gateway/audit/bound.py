"""What a row says of the records that its transaction wrote into other tables: their digests, by id.

A choice, permission or case that is changed behind the journal's back no longer has the digest that its row names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from gateway.choice.model import Permission, SharingChoice
from gateway.desk.model import Case, CaseEntry

Bound = SharingChoice | Permission | Case | CaseEntry
"""A record that a row can be bound to."""
LATER: Final[Mapping[str, Any]] = {"identified_by": ""}
"""Fields that records have had since a later schema, with what those before say. That isn't part of a digest: rows of
before vouch for records without the field."""


def digest_of(record: msgspec.Struct) -> str:
    """SHA-256, in hexadecimal, of the record's JSON with sorted keys, every moment in UTC."""
    return digest_of_values({name: _in_utc(getattr(record, name)) for name in record.__struct_fields__})


def digest_of_values(values: Mapping[str, Any]) -> str:
    """The same of a record's fields by name, every moment in UTC already."""
    said = {name: value for name, value in values.items() if name not in LATER or value != LATER[name]}
    return hashlib.sha256(msgspec.json.encode(said, order="sorted")).hexdigest()


def id_of(record: Bound) -> str:
    """The name of a record in a row: its id; of a case's entry the case and its number in it."""
    return f"{record.case}:{record.number}" if isinstance(record, CaseEntry) else record.id


def bound_to(*records: Bound) -> dict[str, str]:
    """`Row.bound` for these records."""
    return {id_of(record): digest_of(record) for record in records}


def _in_utc(value: Any) -> Any:
    return value.astimezone(UTC) if isinstance(value, datetime) else value

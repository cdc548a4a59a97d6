"""What steps 9 and 10 hand on: the record as one caller may see it, and the answer made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from connectors.sdk.model import Item
from gateway.authority import Authority
from gateway.caller.model import Caller
from gateway.locate import Look
from gateway.manifest import Manifest
from gateway.same_as import Group


@dataclass(frozen=True, slots=True)
class Shown:
    """A record as this caller may see it, and on what that stands: step 10 searches it. `withheld`, `outlined` are for
    the journal alone."""

    caller: Caller
    look: Look
    items: list[Item]
    groups: list[Group]
    manifest: Manifest
    withheld: Mapping[str, int]
    outlined: Mapping[str, int]
    policy_hash: str
    authority: Authority


@dataclass(frozen=True, slots=True)
class Rendered:
    """The answer's bytes, its headers, and the items that are in those bytes: the journal names just these.

    `total` is how many matches a searchset says there are, all that a count alone tells; None for a single resource.
    `sent` are the very bytes of each of the items, in their order, as they stand in the body: the journal keeps a keyed
    digest of each, so that it can be told for ever whether somebody was shown just this.
    """

    body: bytes
    headers: Mapping[str, str]
    items: list[Item]
    total: int | None = None
    sent: Sequence[bytes] = ()


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a live look, as a question renders it (`gateway.record.LiveQuestion`).

    `shown.items` are those that may go out with it: of a part before the last those that are settled, whatever the
    sources still to come say; of the one that `closes` the look the whole record's, also those that went out before.
    `sent` are the references (`Observation/…`) of these: nothing goes out twice. `shown.manifest` has the lines that
    may be told now, of the last part those of the whole, with the state of the allergies; `shown.groups` are empty
    until then. `number` counts from 1. `waiting` names the organisations that have not answered yet, for the reader.
    """

    shown: Shown
    number: int
    closes: bool
    sent: frozenset[str] = frozenset()
    waiting: tuple[str, ...] = ()

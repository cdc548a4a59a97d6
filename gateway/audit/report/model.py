"""The shape of an access report, version 1, as its JSON has it (docs/access-report.md).

Everything but `patient.nhsNumber`, `made`, `period` and `proof` follows from the proven rows: `assemble` makes it, and
`check` makes it again and compares. It holds nothing clinical, and of staff name, role and organisation.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import msgspec

FORMAT: Final = "connect-care-access-report/1"
"""Changes with the shape and with the words: a checker must make the very same report of the rows."""


class What(StrEnum):
    """What an event is."""

    LOOKED = "looked"
    STARTED = "started"
    REFUSED = "refused"
    FOUND = "found-by-name"
    PERMISSION = "permission"
    PERMISSION_EXTENDED = "permission-extended"
    PERMISSION_ENDED = "permission-ended"
    PERMISSION_REFUSED = "permission-refused"
    CHOICE = "choice"
    DISCLOSED = "disclosed"
    CASE_OPENED = "case-opened"
    CASE_MOVED = "case-moved"
    CHECK = "check"
    AUDIT_READ = "audit-read"
    LINK_TESTED = "link-tested"
    ERASED = "erased"
    SET_UP = "set-up"


class Asked(StrEnum):
    """Whether the patient was asked before a look. NOT_NEEDED: nothing of their record was shown. NOT_SAID: the journal
    doesn't tell, which should never be."""

    YES = "yes"
    BEST_INTERESTS = "no-best-interests"
    LAW = "no-required-by-law"
    NOT_NEEDED = "not-needed"
    NOT_SAID = "not-said"


class _Shape(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """All shapes: immutable, camelCase on the wire, no member that nobody checked."""


class Person(_Shape, frozen=True, kw_only=True):
    """A member of staff, as much as a patient may know: the NHS Care Record Guarantee lets them know who looked."""

    name: str
    role: str
    organisation: str


class Saw(_Shape, frozen=True, kw_only=True):
    """One kind of information, and how many entries of it were shown."""

    what: str
    entries: int


class Law(_Shape, frozen=True, kw_only=True):
    """On what the law something was given out: the ground in words, the reference of the order, and who got it."""

    ground: str
    reference: str
    recipient: str


class Event(_Shape, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that happened. `rows` are the numbers of the proof's rows that say so, counted from 1.

    `at` is UTC, `when` the same in words and UK time. `text` is the whole event in plain sentences; the members beside
    it are the same in parts, `link` being what showed that their organisation cares for the patient. `proven` is False
    where a row came after the signed checkpoint."""

    number: int
    rows: tuple[int, ...]
    what: What
    at: datetime | None
    when: str
    text: str
    who: Person | None = None
    why: str = ""
    link: str = ""
    permission: str = ""
    asked: Asked | None = None
    saw: tuple[Saw, ...] = ()
    refused_because: str = ""
    law: Law | None = None
    officer_told: bool = False
    proven: bool = True


class Answer(_Shape, frozen=True, kw_only=True):
    """One of the questions that a patient asks first, and its answer in sentences."""

    question: str
    answer: tuple[str, ...]


class Looker(_Shape, frozen=True, kw_only=True):
    """One person's doings: how often they were shown something, found the patient by name, or were shown nothing."""

    name: str
    role: str
    looked: int
    not_shown: int
    best_interests: int
    first: str
    last: str
    saw: tuple[str, ...]


class ByOrganisation(_Shape, frozen=True, kw_only=True):
    """The people of one organisation."""

    organisation: str
    people: tuple[Looker, ...]


class Patient(_Shape, frozen=True, kw_only=True):
    """Whom the report is about. `tag` is the keyed name under which the log knows them: the same in every report."""

    nhs_number: str
    tag: str


class Period(_Shape, frozen=True, kw_only=True):
    """Which events are listed: `since` inclusive, `until` exclusive. The proof always has all rows."""

    since: datetime | None = None
    until: datetime | None = None

    def holds(self, moment: datetime) -> bool:
        """True where the moment is within."""
        return (self.since is None or moment >= self.since) and (self.until is None or moment < self.until)

    @property
    def is_all(self) -> bool:
        """True where nothing is left out."""
        return self.since is None and self.until is None


class ProofRow(_Shape, frozen=True, kw_only=True, omit_defaults=True):
    """One row of the journal: `row` are the bytes that were committed to and `salt` opens the commitment, in base64;
    an erased row has its `commitment` alone. `seq` is its number in the whole log."""

    seq: int
    row: str = ""
    salt: str = ""
    commitment: str = ""


class Marker(_Shape, frozen=True, kw_only=True):
    """A row that says what was erased, with the proof that it is in the log: RFC 6962 audit path, base64."""

    seq: int
    row: str
    salt: str
    path: tuple[str, ...]


class Erasure(_Shape, frozen=True, kw_only=True):
    """Why rows are missing: the row that names them as erased, and a signed checkpoint that has them all."""

    marker: Marker
    dated_by: str


class Proof(_Shape, frozen=True, kw_only=True):
    """What a stranger needs: the signed checkpoint, the patient's entry in its map, and the rows in order.

    The first `count` rows are proven to be all up to the checkpoint; those after it came later. `key` is the verifier
    key for convenience: check with the one that you have from elsewhere."""

    key: str
    note: str
    count: int
    head: str
    map: dict[str, Any]
    rows: tuple[ProofRow, ...]
    erasures: tuple[Erasure, ...] = ()


class Report(_Shape, frozen=True, kw_only=True):
    """The whole. `up_to` is the time of the signed checkpoint."""

    format: str
    title: str
    patient: Patient
    made: datetime
    up_to: datetime
    period: Period
    introduction: tuple[str, ...]
    glance: tuple[Answer, ...]
    organisations: tuple[ByOrganisation, ...]
    events: tuple[Event, ...]
    complete: str
    proof: Proof

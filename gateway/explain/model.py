"""What an explanation says, row by row. It is made of the journal and of policies alone: it holds nothing clinical."""

from __future__ import annotations

from datetime import datetime

import msgspec

from gateway.audit.row import Lawful, SourceLine, Who


class Rule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A rule that decided something, in its own words. `count`: how many items it decided about; 0 for a door."""

    id: str
    title: str = ""
    why: str = ""
    count: int = 0


class Granted(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The permission on which a look stood."""

    id: str
    basis: str
    scope: str
    granted_at: datetime | None = None
    expires_at: datetime | None = None
    withdrawn_at: datetime | None = None
    reason_code: str = ""
    reason: str = ""


class ChoiceThen(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The patient's sharing choice at the time. `recorded_at` is None where none had been recorded."""

    choice: str
    recorded_at: datetime | None = None
    stated_by: str = ""


class SectionSaid(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One section: what of it was shown, how far this role sees it where nothing is labelled, and who left it out.

    `at_own_practice` is how far it is shown at the patient's own practice, where that is more.
    """

    section: str
    asked: bool
    shown: int = 0
    level: str = ""
    rule: Rule | None = None
    at_own_practice: str = ""
    missing_from: list[str] = []


class Refused(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What refused, in which words, and what would have made it possible. `open_to`: whom the same door lets in."""

    rule: Rule
    possible: str
    detail: str = ""
    open_to: list[str] = []


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One row. `policy_found` is False where the policies of that day are in no archive: then rules have ids alone.

    `nhs_number` is there where the key was given. `ended` is the row in which an intent ended; 0 where none is."""

    seq: int
    kind: str
    at: datetime
    door: str
    status: int
    policy_hash: str
    policy_found: bool
    who: Who | None = None
    nhs_number: str = ""
    opened_by: Rule | None = None
    choice: ChoiceThen | None = None
    permission: Granted | None = None
    lawful: Lawful | None = None
    lawful_reason: str = ""
    relationship: str = ""
    reason_code: str = ""
    cases: list[str] = []
    sections: list[SectionSaid] = []
    supporting: int = 0
    total: int | None = None
    held_back: list[Rule] = []
    outlined: list[Rule] = []
    never: list[str] = []
    sources: dict[str, SourceLine] = {}
    alarms: list[str] = []
    refused: Refused | None = None
    ended: int | None = None


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Every row of one request, in order."""

    request_id: str
    events: list[Event]

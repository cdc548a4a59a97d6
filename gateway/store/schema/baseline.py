"""The first schema: its tables, and what must never be done to them.

Triggers stop mistakes. Someone who owns the database can drop a trigger; what they do then, the log's signed
checkpoints show.
"""

from __future__ import annotations

from typing import Final

from gateway.store.schema.rule import Rule

_JOURNAL = """
CREATE TABLE journal (
    seq          {integer} PRIMARY KEY,
    kind         TEXT NOT NULL,
    patient      TEXT,
    patient_seq  {integer} NOT NULL,
    request_id   TEXT NOT NULL,
    at           {integer} NOT NULL,
    organisation TEXT,
    user_id      TEXT,
    caller       TEXT,
    salt         {bytes},
    commitment   {bytes} NOT NULL,
    head         {bytes},
    row          {bytes}
){strict}
"""

_SHARING_CHOICE = """
CREATE TABLE sharing_choice (
    number           {integer} PRIMARY KEY,
    id               TEXT NOT NULL UNIQUE,
    patient          TEXT NOT NULL,
    sealed_patient   TEXT NOT NULL,
    choice           TEXT NOT NULL,
    stated_by        TEXT NOT NULL,
    channel          TEXT NOT NULL,
    recorded_by      TEXT NOT NULL,
    recorded_by_name TEXT NOT NULL,
    organisation     TEXT NOT NULL,
    recorded_at      {integer} NOT NULL,
    reason           TEXT NOT NULL,
    proxy            TEXT NOT NULL
){strict}
"""

_PERMISSION = """
CREATE TABLE permission (
    number         {integer} PRIMARY KEY,
    id             TEXT NOT NULL UNIQUE,
    patient        TEXT NOT NULL,
    sealed_patient TEXT NOT NULL,
    caller         TEXT NOT NULL,
    organisation   TEXT NOT NULL,
    basis          TEXT NOT NULL,
    scope          TEXT NOT NULL,
    reason         TEXT NOT NULL,
    reason_code    TEXT NOT NULL,
    extends        TEXT,
    granted_at     {integer} NOT NULL,
    expires_at     {integer} NOT NULL,
    withdrawn_at   {integer}
){strict}
"""

_PRIVACY_CASE = """
CREATE TABLE privacy_case (
    number         {integer} PRIMARY KEY,
    id             TEXT NOT NULL UNIQUE,
    kind           TEXT NOT NULL,
    patient        TEXT,
    sealed_patient TEXT,
    caller         TEXT NOT NULL,
    user_id        TEXT NOT NULL,
    name           TEXT NOT NULL,
    role           TEXT NOT NULL,
    organisation   TEXT NOT NULL,
    request_id     TEXT NOT NULL,
    permission     TEXT,
    opened_at      {integer} NOT NULL,
    due_at         {integer} NOT NULL
){strict}
"""

_CASE_ENTRY = """
CREATE TABLE case_entry (
    case_id TEXT NOT NULL REFERENCES privacy_case (id),
    number  {integer} NOT NULL,
    at      {integer} NOT NULL,
    by_user TEXT NOT NULL,
    by_name TEXT NOT NULL,
    status  TEXT NOT NULL,
    note    TEXT NOT NULL,
    PRIMARY KEY (case_id, number)
){strict}
"""

_STAFF = """
CREATE TABLE staff (
    organisation TEXT NOT NULL,
    patient      TEXT NOT NULL,
    user_id      TEXT NOT NULL,
    PRIMARY KEY (organisation, patient, user_id)
){strict}
"""

_LOG_STATE = """
CREATE TABLE log_state (
    one      {integer} PRIMARY KEY CHECK (one = 1),
    size     {integer} NOT NULL,
    frontier {bytes} NOT NULL
){strict}
"""

_SUBTREE = """
CREATE TABLE subtree (
    level  {integer} NOT NULL,
    number {integer} NOT NULL,
    hash   {bytes} NOT NULL,
    PRIMARY KEY (level, number)
){strict}
"""

TABLES: Final = (
    _JOURNAL,
    "CREATE UNIQUE INDEX journal_patient ON journal (patient, patient_seq) WHERE patient IS NOT NULL",
    "CREATE INDEX journal_request ON journal (request_id)",
    "CREATE INDEX journal_user ON journal (user_id) WHERE user_id IS NOT NULL",
    "CREATE INDEX journal_organisation ON journal (organisation) WHERE organisation IS NOT NULL",
    "CREATE INDEX journal_kind ON journal (kind)",
    "CREATE INDEX journal_at ON journal (at)",
    "CREATE INDEX journal_seen ON journal (caller, at, patient) WHERE kind = 'release'",
    _SHARING_CHOICE,
    "CREATE INDEX sharing_choice_patient ON sharing_choice (patient, number)",
    _PERMISSION,
    "CREATE INDEX permission_caller ON permission (caller, patient, number)",
    "CREATE INDEX permission_patient ON permission (patient, number)",
    _PRIVACY_CASE,
    "CREATE INDEX privacy_case_caller ON privacy_case (caller, kind, patient)",
    "CREATE INDEX privacy_case_patient ON privacy_case (patient)",
    _CASE_ENTRY,
    _STAFF,
    _LOG_STATE,
    "INSERT INTO log_state (one, size, frontier) VALUES (1, 0, {empty_log})",
    _SUBTREE,
    "CREATE TABLE checkpoint (size {integer} PRIMARY KEY, note TEXT NOT NULL){strict}",
    "CREATE TABLE map_node (path {bytes} PRIMARY KEY, node {bytes} NOT NULL){strict}",
    "CREATE TABLE kept (name TEXT PRIMARY KEY, value TEXT NOT NULL){strict}",
    "CREATE TABLE policy (hash TEXT PRIMARY KEY, content {bytes} NOT NULL){strict}",
    "CREATE TABLE follower (name TEXT PRIMARY KEY, seq {integer} NOT NULL){strict}",
    "CREATE TABLE pulse (one {integer} PRIMARY KEY CHECK (one = 1), at {integer} NOT NULL){strict}",
)

_ERASED_ONLY = """
    OLD.row IS NULL OR OLD.kind = 'erased'
    OR NEW.row IS NOT NULL OR NEW.salt IS NOT NULL OR NEW.request_id <> '' OR NEW.organisation IS NOT NULL
    OR NEW.user_id IS NOT NULL OR NEW.caller IS NOT NULL
    OR (NEW.seq, NEW.kind, NEW.patient, NEW.patient_seq, NEW.at, NEW.commitment, NEW.head)
       {differs}
       (OLD.seq, OLD.kind, OLD.patient, OLD.patient_seq, OLD.at, OLD.commitment, OLD.head)
"""

_BOUND_FOR_EVER = """
    OLD.withdrawn_at IS NOT NULL OR NEW.withdrawn_at IS NULL
    OR (NEW.number, NEW.id, NEW.patient, NEW.sealed_patient, NEW.caller, NEW.organisation, NEW.basis, NEW.scope,
        NEW.reason, NEW.reason_code, NEW.extends, NEW.granted_at, NEW.expires_at)
       {differs}
       (OLD.number, OLD.id, OLD.patient, OLD.sealed_patient, OLD.caller, OLD.organisation, OLD.basis, OLD.scope,
        OLD.reason, OLD.reason_code, OLD.extends, OLD.granted_at, OLD.expires_at)
"""


_NEXT: Final = (
    "NEW.number {{differs}} (SELECT coalesce(max(number), 0) + 1 FROM {0}) "
    "OR EXISTS (SELECT 1 FROM {0} WHERE id = NEW.id)"
)
"""Not the table's next number; or an id that is there: SQLite's INSERT OR REPLACE deletes without a DELETE trigger."""

RULES: Final[tuple[Rule, ...]] = (
    Rule(
        "journal",
        "INSERT",
        "a row takes the next number, and has content",
        "NEW.seq {differs} (SELECT coalesce(max(seq), 0) + 1 FROM journal) OR NEW.row IS NULL OR NEW.salt IS NULL",
    ),
    Rule("journal", "UPDATE", "a row can only be erased", _ERASED_ONLY),
    Rule("journal", "DELETE", "a row is never removed"),
    Rule("sharing_choice", "INSERT", "a choice takes the next number", _NEXT.format("sharing_choice")),
    Rule("sharing_choice", "UPDATE", "a new choice is a new row"),
    Rule("sharing_choice", "DELETE", "the history is kept"),
    Rule("permission", "INSERT", "a permission takes the next number", _NEXT.format("permission")),
    Rule("permission", "UPDATE", "a permission can only be withdrawn, and only once", _BOUND_FOR_EVER),
    Rule("permission", "DELETE", "an ended permission is kept"),
    Rule("privacy_case", "INSERT", "a case takes the next number", _NEXT.format("privacy_case")),
    Rule("privacy_case", "UPDATE", "what happens to a case is an entry"),
    Rule("privacy_case", "DELETE", "a case is kept"),
    Rule(
        "case_entry",
        "INSERT",
        "an entry takes the next number of its case",
        "NEW.number {differs} (SELECT coalesce(max(number), 0) + 1 FROM case_entry WHERE case_id = NEW.case_id)",
    ),
    Rule("case_entry", "UPDATE", "an entry is never changed"),
    Rule("case_entry", "DELETE", "an entry is never removed"),
    Rule("staff", "UPDATE", "nobody becomes somebody else"),
    Rule("staff", "DELETE", "who was a colleague is kept"),
    Rule("log_state", "INSERT", "there is one log", "EXISTS (SELECT 1 FROM log_state)"),
    Rule("log_state", "UPDATE", "the log never shrinks", "NEW.one {differs} 1 OR NEW.size < OLD.size"),
    Rule("log_state", "DELETE", "there is one log"),
    Rule(
        "subtree",
        "INSERT",
        "a root is kept once",
        "EXISTS (SELECT 1 FROM subtree WHERE level = NEW.level AND number = NEW.number)",
    ),
    Rule("subtree", "UPDATE", "a root is never changed"),
    Rule("subtree", "DELETE", "a root is never removed"),
    Rule(
        "checkpoint",
        "INSERT",
        "a newer checkpoint is a greater one",
        "NEW.size <= (SELECT coalesce(max(size), -1) FROM checkpoint)",
    ),
    Rule("checkpoint", "UPDATE", "a checkpoint is never changed"),
    Rule("checkpoint", "DELETE", "a checkpoint is never removed"),
    Rule("kept", "INSERT", "a value is kept once", "EXISTS (SELECT 1 FROM kept WHERE name = NEW.name)"),
    Rule("kept", "UPDATE", "a value is never changed"),
    Rule("kept", "DELETE", "a value is never removed"),
    Rule("policy", "INSERT", "a policy is kept once", "EXISTS (SELECT 1 FROM policy WHERE hash = NEW.hash)"),
    Rule("policy", "UPDATE", "a policy is never changed"),
    Rule("policy", "DELETE", "a policy is never removed"),
)

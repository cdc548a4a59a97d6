"""Whole stores with realistic rows, made quickly: for tests of verification, and for benches of long journals.

Rows go through the very functions that a gateway's transactions are made of, in transactions of thousands, and
checkpoints are signed on the way. Nothing is fast-forwarded: every salt, leaf, chain and map node is real.
"""

from __future__ import annotations

import asyncio
import hmac
import random
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from gateway.audit.log.checkpoint import Checkpoint, PublicKey, SigningKey
from gateway.audit.log.patient_map import EMPTY, updated
from gateway.audit.row import Kind, Row, SourceLine, Who
from gateway.choice.model import Basis, Channel, Choice, Permission, Scope, SharingChoice, StatedBy
from gateway.desk.model import Case, CaseEntry, CaseKind, CaseStatus
from gateway.errors import Refusal
from gateway.store import decided
from gateway.store.folder import Folder
from gateway.store.kept import KeptCheckpoint
from gateway.store.sqlite import SqliteConnection
from gateway.store.tables import checkpoints, journal
from gateway.store.transaction import Transaction

ORIGIN = "care.example/journal"
BEGAN = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
_ROWS_IN_A_TRANSACTION = 5_000
_ORGANISATIONS = (("G85005", "gp-practice"), ("RJ2", "acute-trust"), ("RPG", "community"), ("709", "council"))
_ROLES = ("gp", "nurse", "hospital-doctor", "pharmacist", "social-worker")
_SECTIONS = ("allergies", "contacts", "demographics", "medicines", "results")
_POLICY = "5f" * 32


@dataclass(frozen=True, slots=True)
class Facts:
    """What a made store holds. `notes` are its signed checkpoints, oldest first."""

    folder: Path
    key: SigningKey
    size: int
    tags: tuple[str, ...]
    notes: tuple[str, ...]
    ended: datetime

    @property
    def public(self) -> PublicKey:
        return self.key.public


@dataclass(slots=True)
class _World:
    """Who there is, and the clock."""

    chance: random.Random
    tags: Sequence[str]
    staff: Sequence[Who]
    now: datetime = BEGAN
    given: dict[str, dict[str, Permission]] = field(default_factory=dict)
    """Who may look at whom: by patient and by caller."""
    cases: list[tuple[Case, int]] = field(default_factory=list)
    made: int = 0

    def id(self, kind: str) -> str:
        self.made += 1
        return f"{kind}-{self.made:08}"

    def row(self, kind: Kind, who: Who | None, tag: str | None, **more: object) -> Row:
        sealed = f"sealed-{tag[:24]}" if tag else None
        return Row(
            kind=kind,
            request_id=self.id("request"),
            at=self.now,
            door="GET /fhir/R4/Patient/{id}/$everything",
            who=who,
            patient=tag,
            sealed_patient=sealed,
            policy_hash=_POLICY,
            **more,  # type: ignore[arg-type]
        )


def make_store(
    folder: Path, rows: int, patients: int, seed: int, *, checkpoint_every: int = 1_000, unsigned: int = 0
) -> Facts:
    """A SQLite store in `folder/store` with at least `rows` rows about `patients` patients; the last `unsigned` rows or
    so are covered by no checkpoint. Some 4,000 rows a second."""
    world = _world(patients, seed)
    key = SigningKey.new(ORIGIN)
    with _written(folder) as connection:
        notes = asyncio.run(_fill(connection, world, key, rows, checkpoint_every, unsigned))
        ((size,),) = connection.execute("SELECT size FROM log_state").fetchall()
    return Facts(folder, key, size, tuple(world.tags), tuple(notes), world.now)


def _world(patients: int, seed: int) -> _World:
    chance = random.Random(seed)
    tag_key = seed.to_bytes(32, "big")
    tags = [hmac.digest(tag_key, str(number).encode(), "sha256").hex() for number in range(patients)]
    staff = [_person(number, chance) for number in range(max(4, patients // 20))]
    return _World(chance, tags, staff)


def _person(number: int, chance: random.Random) -> Who:
    ods, organisation_type = chance.choice(_ORGANISATIONS)
    return Who(
        issuer="https://issuer.example",
        user_id=f"5550{number:08}",
        name=f"Staff Member {number}",
        role_profile_id=f"5551{number:08}",
        job_role_code="R0260",
        role=chance.choice(_ROLES),
        organisation=ods,
        organisation_name=f"Organisation {ods}",
        organisation_type=organisation_type,
        client_id="viewer",
        purpose="TREAT",
        acr="AAL3",
        token_id=f"token-{number}",
    )


@contextmanager
def _written(folder: Path) -> Iterator[sqlite3.Connection]:
    """The store's one writing connection. It needn't survive a power cut."""
    place = Folder(folder)
    try:
        connection = place.writer(2.0, sqlite3.Connection)
        connection.execute("PRAGMA synchronous = OFF")
        yield connection
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
    finally:
        place.unlock()


async def _fill(
    connection: sqlite3.Connection, world: _World, key: SigningKey, rows: int, every: int, unsigned: int
) -> list[str]:
    adapter = SqliteConnection(connection)
    notes: list[str] = []
    map_root, nodes, signed = EMPTY, dict[bytes, bytes](), 0

    async def get(paths: Sequence[bytes]) -> dict[bytes, bytes]:
        return {path: nodes[path] for path in paths if path in nodes}

    while True:
        adapter.begin()
        transaction = Transaction(adapter)
        until = min(transaction.head.size + min(every, _ROWS_IN_A_TRANSACTION), rows)
        while transaction.head.size < until:
            _visit(transaction, world)
        transaction.end()
        size, root = transaction.head.size, transaction.head.root()
        if signed <= rows - unsigned and (size - signed >= every or size >= rows - unsigned) and size > signed:
            holdings = journal.select_holdings(adapter, signed, size)
            map_root, changes = await updated(holdings, get)
            nodes |= {path: node for path, node in changes.items() if node is not None}
            note = key.sign(Checkpoint(ORIGIN, size, root, map_root, world.now, signed))
            checkpoints.insert_checkpoint(adapter, KeptCheckpoint(size, note))
            notes.append(note)
            signed = size if size < rows - unsigned else rows + 1
        if size >= rows:
            checkpoints.change_nodes(adapter, nodes)
            adapter.commit()
            return notes
        adapter.commit()


def _visit(transaction: Transaction, world: _World) -> None:
    """What one look, or one word of a patient, adds: one to five rows."""
    chance = world.chance
    world.now += timedelta(seconds=chance.random() * 4)
    who = chance.choice(world.staff)
    tag = world.tags[min(int(chance.paretovariate(0.6)) - 1, len(world.tags) - 1)]
    tag = tag if chance.random() < 0.3 else chance.choice(world.tags)
    event = chance.random()
    if event < 0.01:
        _choose(transaction, world, who, tag)
    elif event < 0.03:
        transaction_row = world.row(Kind.AUDIT_READ, who, tag if event < 0.02 else None, subject="user=555")
        journal.append(transaction, transaction_row)
    elif event < 0.04:
        _judge(transaction, world, who)
    elif event < 0.06:
        decided.withdraw_all(transaction, tag, world.now, world.row(Kind.PERMISSION_WITHDRAWN, who, tag))
        world.given.pop(tag, None)
    else:
        _look(transaction, world, who, tag)


def _choose(transaction: Transaction, world: _World, who: Who, tag: str) -> None:
    out = world.chance.random() < 0.4
    choice = SharingChoice(
        id=world.id("choice"),
        patient=tag,
        sealed_patient=f"sealed-{tag[:24]}",
        choice=Choice.OPTED_OUT if out else Choice.OPTED_IN,
        stated_by=StatedBy.PATIENT,
        channel=Channel.PHONE,
        recorded_by=who.user_id,
        recorded_by_name=who.name,
        organisation=who.organisation,
        recorded_at=world.now,
        reason="sealed-reason",
    )
    decided.record_choice(transaction, choice, world.row(Kind.SHARING_CHOICE, who, tag))
    world.given.pop(tag, None)


def _look(transaction: Transaction, world: _World, who: Who, tag: str) -> None:
    intent = journal.append(transaction, world.row(Kind.INTENT, who, tag, sections=list(_SECTIONS)))
    permission = world.given.get(tag, {}).get(who.key)
    if permission is None or not permission.holds_at(world.now):
        permission = _ask(transaction, world, who, tag)
    if permission is None:
        refused = world.row(Kind.REFUSAL, who, tag, intent=intent, status=403, rule="choice.opted-out")
        journal.append(transaction, refused)
        return
    seq, refusal = decided.release(transaction, _release(world, who, tag, permission, intent), (), lambda: world.now)
    assert seq
    assert refusal is None or isinstance(refusal, Refusal)


def _ask(transaction: Transaction, world: _World, who: Who, tag: str) -> Permission | None:
    urgent = world.chance.random() < 0.1
    permission = Permission(
        id=world.id("permission"),
        patient=tag,
        sealed_patient=f"sealed-{tag[:24]}",
        caller=who.key,
        organisation=who.organisation,
        basis=Basis.BEST_INTERESTS if urgent else Basis.PATIENT_AGREED,
        scope=Scope.STANDARD,
        reason="sealed-reason" if urgent else "",
        granted_at=world.now,
        expires_at=world.now + timedelta(hours=1 if urgent else 8),
    )
    case = _case(world, who, tag, permission) if urgent else None
    row = world.row(
        Kind.PERMISSION_GRANTED, who, tag, permission=permission.id, cases=[case.id] if case else [],
    )  # fmt: skip
    _, refusal = decided.grant(transaction, permission, row, case, lambda: world.now)
    if refusal is not None:
        return None
    world.given.setdefault(tag, {})[who.key] = permission
    if case is not None and transaction.execute("SELECT 1 FROM privacy_case WHERE id = ?", (case.id,)).fetchall():
        world.cases.append((case, 0))
    return permission


def _case(world: _World, who: Who, tag: str, permission: Permission) -> Case:
    return Case(
        id=world.id("case"),
        kind=CaseKind.BEST_INTERESTS,
        patient=tag,
        sealed_patient=f"sealed-{tag[:24]}",
        caller=who.key,
        user_id=who.user_id,
        name=who.name,
        role=who.role,
        organisation=who.organisation,
        request_id=f"request-of-{permission.id}",
        permission=permission.id,
        opened_at=world.now,
        due_at=world.now + timedelta(days=1),
    )


def _judge(transaction: Transaction, world: _World, who: Who) -> None:
    """A privacy officer questions a case, then judges it."""
    if not world.cases:
        return
    at = world.chance.randrange(len(world.cases))
    case, done = world.cases[at]
    entry = CaseEntry(
        case=case.id,
        number=done + 1,
        at=world.now,
        by=who.user_id,
        by_name=who.name,
        status=CaseStatus.QUESTIONED if done == 0 else CaseStatus.JUSTIFIED,
        note="sealed-note",
    )
    assert decided.move_case(transaction, entry, world.row(Kind.CASE_MOVED, who, case.patient, cases=[case.id]))
    if done:
        world.cases.pop(at)
    else:
        world.cases[at] = (case, 1)


def _release(world: _World, who: Who, tag: str, permission: Permission, intent: int) -> Row:
    count = min(int(world.chance.expovariate(1 / 12)) + 3, 120)
    digests = [world.chance.randbytes(9).hex()[:14] for _ in range(count)]
    row = world.row(
        Kind.RELEASE,
        who,
        tag,
        sections=list(_SECTIONS),
        permission=permission.id,
        basis=permission.basis.value,
        scope=permission.scope.value,
        status=200,
        sources={ods: SourceLine(outcome="answered", took_ms=12.5) for ods, _ in _ORGANISATIONS[:3]},
        seen=dict.fromkeys(_SECTIONS, count // 5 + 1),
        seen_ids={f"prefix{permission.id[-6:]}".ljust(39, "a"): digests},
        withheld={"label.sensitive.identity-only": 2},
        intent=intent,
        relationship="self-claimed",
    )
    sent = {prefix: [world.chance.randbytes(12).hex() for _ in ids] for prefix, ids in row.seen_ids.items()}
    return msgspec.structs.replace(row, sent=sent)

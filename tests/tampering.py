"""Somebody who owns a store's file, knows how it is made, and hasn't got the signing key.

Each way of tampering (`WAYS`) changes one thing in a copy of a store, by chance; triggers are dropped before and put
back after, so that nothing but the change itself shows. The consistent ones recompute all that can be without the key:
commitments with salts of their own, leaves, chains, subtree roots, the right edge, and the patients' map.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec

from gateway.audit.log.checkpoint import Checkpoint, SigningKey
from gateway.audit.log.leaf import NO_HEAD, Leaf, chain, commit
from gateway.audit.log.patient_map import EMPTY, updated
from gateway.audit.log.tree import Frontier, root_of
from gateway.audit.verify.evidence import COLUMNS
from gateway.store.folder import DATABASE
from gateway.store.kept import Holding
from tests.journals import BEGAN, ORIGIN

Raw = dict[str, Any]
_KEYS = {
    "journal": ("seq",),
    "sharing_choice": ("number",),
    "permission": ("number",),
    "privacy_case": ("number",),
    "case_entry": ("case_id", "number"),
    "checkpoint": ("size",),
    "map_node": ("path",),
    "log_state": ("one",),
    "subtree": ("level", "number"),
    "policy": ("hash",),
}
TABLES = tuple(_KEYS)


class Nothing(Exception):
    """By chance there was nothing that could be changed in this way: throw the dice again."""


class Tamperer:
    """Works on one copy. `pinned` is the size of the checkpoint that somebody else keeps, `signed` the newest's."""

    def __init__(self, folder: Path, chance: random.Random, pinned: int, signed: int) -> None:
        self._file = folder / "store" / DATABASE
        self.chance = chance
        self.pinned = pinned
        self.signed = signed
        self.db: sqlite3.Connection

    def tamper(self, way: Callable[[Tamperer], str]) -> str:
        """Do it, and say what was done."""
        with closing(sqlite3.connect(self._file, isolation_level=None)) as self.db:
            triggers = self.db.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").fetchall()
            self.db.execute("BEGIN")
            for name, _ in triggers:
                self.db.execute(f"DROP TRIGGER {name}")
            try:
                said = way(self)
            except sqlite3.IntegrityError as error:
                raise Nothing from error
            for _, sql in triggers:
                self.db.execute(sql)
            self.db.execute("COMMIT")
            self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return said

    def rows(self, table: str) -> list[Raw]:
        """All of a table's."""
        found = self.db.execute(f"SELECT * FROM {table}")
        names = [column[0] for column in found.description]
        return [dict(zip(names, values, strict=True)) for values in found]

    def one(self, table: str) -> Raw:
        found = self.rows(table)
        if not found:
            raise Nothing
        return self.chance.choice(found)

    def put(self, table: str, row: Raw, /, **changes: Any) -> None:
        """Change columns of a row."""
        key = " AND ".join(f"{name} = ?" for name in _KEYS[table])
        values = [*changes.values(), *(row[name] for name in _KEYS[table])]
        self.db.execute(f"UPDATE {table} SET {', '.join(f'{name} = ?' for name in changes)} WHERE {key}", values)

    def remove(self, table: str, row: Raw, /) -> None:
        key = " AND ".join(f"{name} = ?" for name in _KEYS[table])
        self.db.execute(f"DELETE FROM {table} WHERE {key}", [row[name] for name in _KEYS[table]])

    def add(self, table: str, row: Raw) -> None:
        names = ", ".join(row)
        self.db.execute(f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(row))})", list(row.values()))

    def other(self, value: Any) -> Any:
        """Another value of the same kind."""
        if isinstance(value, int):
            return value + self.chance.choice([-86_400_000_000, -1000, -1, 1, 1000, 86_400_000_000])
        if value is None:
            return None
        if not value:
            return b"\0" if isinstance(value, bytes) else "x"
        at = self.chance.randrange(len(value))
        if isinstance(value, bytes):
            return value[:at] + bytes((value[at] ^ 1 << self.chance.randrange(8),)) + value[at + 1 :]
        return value[:at] + self.chance.choice([c for c in "0aZ " if c != value[at]]) + value[at + 1 :]

    def journal(self) -> list[Raw]:
        """The journal's rows, in order."""
        return [{name: row[name] for name in COLUMNS} for row in self.rows("journal")]

    def rebuild(self, rows: list[Raw], *, keep_checkpoints: bool = True) -> None:
        """Write the journal anew, and all that follows from it and that no key is needed for. Rows with `salt` None and
        content get a salt and a commitment; the others keep theirs."""
        patients: dict[str, tuple[int, bytes]] = {}
        hashes: list[bytes] = []
        self.db.execute("DELETE FROM journal")
        for seq, row in enumerate(rows, 1):
            if row["row"] is not None and row["salt"] is None:
                row["salt"] = secrets.token_bytes(32)
                row["commitment"] = commit(row["salt"], row["row"])
            count, head = patients.get(row["patient"], (0, NO_HEAD))
            tag = bytes.fromhex(row["patient"]) if row["patient"] else None
            leaf = Leaf(seq, tag, count + 1 if tag else 0, row["commitment"]).hash()
            hashes.append(leaf)
            if tag:
                patients[row["patient"]] = (count + 1, chain(head, leaf))
            row |= {"seq": seq, "patient_seq": count + 1 if tag else 0, "head": chain(head, leaf) if tag else None}
            self.add("journal", row)
        self.keep(hashes)
        if not keep_checkpoints:
            self.db.execute("DELETE FROM checkpoint WHERE size > ?", (len(rows),))
        self.map()

    def keep(self, hashes: list[bytes]) -> None:
        """The right edge and the subtree roots of these leaves."""
        frontier = Frontier().extend(hashes)
        self.db.execute("UPDATE log_state SET size = ?, frontier = ?", (frontier.size, frontier.to_bytes()))
        self.db.execute("DELETE FROM subtree")
        for number in range(len(hashes) // 256):
            root = root_of(hashes[number * 256 : number * 256 + 256])
            self.add("subtree", {"level": 1, "number": number, "hash": root})

    def map(self) -> bytes:
        """The patients' map as of the newest checkpoint that is kept; its root."""
        ((size,),) = self.db.execute("SELECT coalesce(max(size), 0) FROM checkpoint")
        held = {row["patient"]: row for row in self.journal() if row["patient"] and row["seq"] <= size}
        holdings = [Holding(bytes.fromhex(tag), row["patient_seq"], row["head"]) for tag, row in held.items()]

        async def nothing(_: object) -> dict[bytes, bytes]:
            return {}

        root, nodes = asyncio.run(updated(holdings, nothing)) if holdings else (EMPTY, {})
        self.db.execute("DELETE FROM map_node")
        for path, node in nodes.items():
            self.add("map_node", {"path": path, "node": node})
        return root

    def sign(self, origin: str) -> None:
        """Checkpoints anew, with a key of the tamperer's own, for the log's own name."""
        key, before = SigningKey.new(origin), 0
        edges = [row["size"] for row in self.rows("checkpoint")]
        self.db.execute("DELETE FROM checkpoint")
        leaves = [_leaf(row) for row in self.journal()]
        for size in sorted({*(edge for edge in edges if edge <= len(leaves)), len(leaves)}):
            self.add("checkpoint", {"size": size, "note": "placeholder"})
            note = key.sign(Checkpoint(origin, size, root_of(leaves[:size]), self.map(), BEGAN, before))
            self.db.execute("UPDATE checkpoint SET note = ? WHERE size = ?", (note, size))
            before = size


def _leaf(row: Raw) -> bytes:
    tag = bytes.fromhex(row["patient"]) if row["patient"] else None
    return Leaf(row["seq"], tag, row["patient_seq"], row["commitment"]).hash()


def _edited(rows: list[Raw], at: int, chance: random.Random) -> str:
    """Other content in a row, as a plausible one: another person, time, rule or count."""
    row = rows[at]
    if row["row"] is None:
        raise Nothing
    content = msgspec.json.decode(row["row"])
    change = chance.choice(["name", "at", "status", "user", "seen", "drop"])
    if change == "name" and content.get("who"):
        content["who"]["name"] = "Somebody Else"
    elif change == "user" and content.get("who"):
        content["who"]["user_id"] = row["user_id"] = "555999999999"
        row["caller"] = None
    elif change == "at":
        content["at"] = "2026-01-05T03:00:00Z"
        row["at"] = 1767582000000000
    elif change == "seen" and content.get("seen"):
        content["seen"] = {"demographics": 1}
    elif change == "drop" and content.get("seen_ids"):
        content["seen_ids"] = {}
    else:
        content["status"] = 299
    row |= {"row": msgspec.json.encode(content, order="sorted"), "salt": None}
    return f"row {at + 1}: {change}"


# --- ways of tampering ---


def edit_a_column(t: Tamperer) -> str:
    """Any column of any table."""
    table = t.chance.choice(TABLES)
    row = t.one(table)
    name = t.chance.choice(list(row))
    value = t.other(row[name])
    if value is None:
        value = {"withdrawn_at": 1767600000000000, "extends": "p", "permission": "p"}.get(name, "0" * 64)
    if t.chance.random() < 0.15:
        value = None
    if value == row[name] or (table == "journal" and name == "row" and value is None and row["salt"] is None):
        raise Nothing
    t.put(table, row, **{name: value})
    return f"edit {table}.{name}"


def edit_a_journal_column(t: Tamperer) -> str:
    """One of the journal's, whose rows matter most."""
    row = t.one("journal")
    name = t.chance.choice(list(row))
    value = t.other(row[name])
    if value is None or value == row[name]:
        raise Nothing
    t.put("journal", row, **{name: value})
    return f"edit journal.{name}"


def take_anothers_value(t: Tamperer) -> str:
    """A value from another row of the table, which is as well-formed as can be."""
    table = t.chance.choice(TABLES)
    row, another = t.one(table), t.one(table)
    name = t.chance.choice(list(row))
    if row[name] == another[name]:
        raise Nothing
    t.put(table, row, **{name: another[name]})
    return f"copy {table}.{name}"


def edit_and_recommit(t: Tamperer) -> str:
    """Another content with a salt and commitment of its own, in that row alone."""
    row = t.one("journal")
    said = _edited([row], 0, t.chance)
    salt = secrets.token_bytes(32)
    t.put("journal", row, row=row["row"], salt=salt, commitment=commit(salt, row["row"]), at=row["at"])
    return f"recommit {said}"


def edit_and_rebuild(t: Tamperer) -> str:
    """Another content, and everything that follows from it."""
    rows = t.journal()
    said = _edited(rows, t.chance.randrange(t.signed), t.chance)
    t.rebuild(rows)
    return f"rebuild {said}"


def delete_one(t: Tamperer) -> str:
    """One row or record of any table."""
    table = t.chance.choice(TABLES)
    row = t.one(table)
    if table == "policy" or (table == "checkpoint" and row["size"] == t.signed):
        # A policy is missed by whoever asks for it; without its newest checkpoint a store is the one that it was.
        raise Nothing
    t.remove(table, row)
    return f"delete from {table}"


def delete_rows_and_rebuild(t: Tamperer) -> str:
    """Some rows, and the later ones take their numbers."""
    rows = t.journal()
    at, count = t.chance.randrange(t.signed - 5), t.chance.choice([1, 1, 2, 5])
    del rows[at : at + count]
    t.rebuild(rows)
    return f"delete rows {at + 1}-{at + count}, rebuilt"


def delete_a_patient_and_rebuild(t: Tamperer) -> str:
    """All that was ever written about a patient."""
    tag = t.one("journal")["patient"]
    if tag is None:
        raise Nothing
    t.rebuild([row for row in t.journal() if row["patient"] != tag])
    return "delete a patient, rebuilt"


def move_to_another_patient(t: Tamperer) -> str:
    """A row that is somebody else's now, with everything that follows: how a look is hidden from a patient."""
    rows = t.journal()
    row = rows[t.chance.randrange(t.signed)]
    another = t.one("journal")["patient"]
    if row["row"] is None or None in (row["patient"], another) or row["patient"] == another:
        raise Nothing
    row |= {"row": row["row"].replace(row["patient"].encode(), another.encode()), "patient": another, "salt": None}
    t.rebuild(rows)
    return "move to another patient, rebuilt"


def hide_from_the_map(t: Tamperer) -> str:
    """A patient's newest rows are left out of the map, whose nodes are consistent with each other."""
    tag = t.one("journal")["patient"]
    if tag is None:
        raise Nothing
    rows = t.journal()
    t.db.execute("DELETE FROM journal WHERE patient = ?", (tag,))
    t.map()
    t.db.execute("DELETE FROM journal")
    for row in rows:
        t.add("journal", row)
    return "hide from the map"


def swap_rows(t: Tamperer) -> str:
    """Two rows, in the table alone."""
    one, another = t.one("journal"), t.one("journal")
    if one["seq"] == another["seq"]:
        raise Nothing
    for row in (one, another):
        t.remove("journal", row)
    t.add("journal", one | {"seq": another["seq"], "patient_seq": another["patient_seq"]})
    t.add("journal", another | {"seq": one["seq"], "patient_seq": one["patient_seq"]})
    return "swap rows"


def swap_rows_and_rebuild(t: Tamperer) -> str:
    """Two rows, and everything that follows."""
    rows = t.journal()
    one, another = t.chance.randrange(t.signed), t.chance.randrange(t.signed)
    if one == another:
        raise Nothing
    rows[one], rows[another] = rows[another], rows[one]
    t.rebuild(rows)
    return "swap rows, rebuilt"


def swap_records(t: Tamperer) -> str:
    """The order in which choices were made decides which holds."""
    table = t.chance.choice(["sharing_choice", "permission", "privacy_case"])
    one, another = t.one(table), t.one(table)
    if one["number"] == another["number"]:
        raise Nothing
    for row in (one, another):
        t.remove(table, row)
    t.add(table, one | {"number": another["number"]})
    t.add(table, another | {"number": one["number"]})
    return f"swap {table}"


def truncate(t: Tamperer) -> str:
    """The last rows, and nothing else."""
    count = t.chance.randrange(1, 40)
    t.db.execute("DELETE FROM journal WHERE seq > ?", (t.signed - count,))
    return "truncate"


def truncate_and_rebuild(t: Tamperer) -> str:
    """The last rows, with all that is kept of them but the checkpoints."""
    t.rebuild(t.journal()[: -t.chance.randrange(1, 40)])
    return "truncate, rebuilt"


def truncate_below_the_pin(t: Tamperer) -> str:
    """So many rows that the pinned checkpoint goes too, with every checkpoint over what is left."""
    t.rebuild(t.journal()[: t.chance.randrange(t.pinned)], keep_checkpoints=False)
    return "truncate below the pin, checkpoints too"


def fork_below_the_pin(t: Tamperer) -> str:
    """Another history from somewhere before the pinned checkpoint on; no signature over it."""
    rows, at = t.journal(), t.chance.randrange(t.pinned)
    for later in range(at, len(rows), 3):
        if rows[later]["row"] is not None:
            _edited(rows, later, t.chance)
            break
    else:
        raise Nothing
    t.rebuild(rows)
    t.db.execute("DELETE FROM checkpoint WHERE size > ?", (at,))
    t.map()
    return "fork below the pin"


def fork_with_another_key(t: Tamperer) -> str:
    """Another history, wholly signed: by a key of the tamperer's own, in the log's own name."""
    rows = t.journal()
    _edited(rows, t.chance.randrange(len(rows)), t.chance)
    t.rebuild(rows)
    t.sign(ORIGIN)
    return "fork with another key"


def fork_after_the_newest(t: Tamperer) -> str:
    """More rows after the newest checkpoint, with a checkpoint of the tamperer's own over them."""
    rows = t.journal()
    rows += [dict(rows[t.chance.randrange(len(rows))]) for _ in range(3)]
    t.rebuild(rows)
    leaves = [_leaf(row) for row in t.journal()]
    t.add("checkpoint", {"size": len(rows), "note": "placeholder"})
    note = SigningKey.new(ORIGIN).sign(Checkpoint(ORIGIN, len(rows), root_of(leaves), t.map(), BEGAN, t.signed))
    t.db.execute("UPDATE checkpoint SET note = ? WHERE size = ?", (note, len(rows)))
    return "fork after the newest, another key"


def insert_a_record(t: Tamperer) -> str:
    """A choice, permission, case or entry that nobody journalled."""
    table = t.chance.choice(["sharing_choice", "permission", "privacy_case", "case_entry"])
    row = t.one(table)
    group = [each for each in t.rows(table) if table != "case_entry" or each["case_id"] == row["case_id"]]
    more = {"number": max(each["number"] for each in group) + 1}
    t.add(table, row | more | ({"id": "inserted"} if "id" in row else {}))
    return f"insert into {table}"


def insert_what_is_derived(t: Tamperer) -> str:
    """A checkpoint (a copy of another one), a map node or a subtree root too many."""
    table = t.chance.choice(["checkpoint", "map_node", "subtree"])
    row = t.one(table)
    key = _KEYS[table][-1]
    t.add(table, row | {key: t.other(row[key])})
    return f"insert into {table}"


def erase_unseen(t: Tamperer) -> str:
    """What stood in a row, as if it had been erased."""
    row = t.one("journal")
    if row["row"] is None:
        raise Nothing
    t.put("journal", row, row=None, salt=None, request_id="", organisation=None, user_id=None, caller=None)
    return "erase unseen"


def fill_an_erased_row(t: Tamperer) -> str:
    """Something else where an erased row's content stood."""
    emptied = [row for row in t.rows("journal") if row["row"] is None]
    if not emptied:
        raise Nothing
    row, another = t.chance.choice(emptied), t.one("journal")
    if another["row"] is None:
        raise Nothing
    names = ("row", "salt", "request_id", "organisation", "user_id", "caller", "kind", "at")
    t.put("journal", row, **{name: another[name] for name in names})
    return "fill an erased row"


def disguise_an_erased_row(t: Tamperer) -> str:
    """Another kind or time in what is left of an erased row."""
    emptied = [row for row in t.rows("journal") if row["row"] is None]
    if not emptied:
        raise Nothing
    row = t.chance.choice(emptied)
    change = t.chance.choice([{"kind": "audit-read"}, {"at": row["at"] + 1}, {"organisation": "RJ2"}])
    if change == {"kind": row["kind"]}:
        raise Nothing
    t.put("journal", row, **change)
    return f"disguise an erased row: {next(iter(change))}"


def unwithdraw(t: Tamperer) -> str:
    """A permission that was withdrawn holds again; or one that holds is withdrawn."""
    row = t.one("permission")
    t.put("permission", row, withdrawn_at=None if row["withdrawn_at"] else row["granted_at"] + 1)
    return "unwithdraw"


WAYS: tuple[Callable[[Tamperer], str], ...] = (
    edit_a_column, edit_a_column, edit_a_column, edit_a_journal_column, take_anothers_value, take_anothers_value,
    edit_and_recommit, edit_and_rebuild, delete_one, delete_rows_and_rebuild, delete_a_patient_and_rebuild,
    move_to_another_patient, hide_from_the_map, swap_rows, swap_rows_and_rebuild, swap_records, truncate,
    truncate_and_rebuild, truncate_below_the_pin, fork_below_the_pin, fork_with_another_key, fork_after_the_newest,
    insert_a_record, insert_what_is_derived, erase_unseen, fill_an_erased_row, disguise_an_erased_row, unwithdraw,
)  # fmt: skip
"""Every way; those that stand for more are there more often."""


@contextmanager
def tampered(
    original: Path, work: Path, chance: random.Random, way: Callable[[Tamperer], str], pinned: int, signed: int
) -> Iterator[tuple[Path, str]]:
    """A copy of the store in which something was changed in this way, and what."""
    copy = work / "copy"
    while True:
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(original, copy)
        try:
            said = Tamperer(copy, chance, pinned, signed).tamper(way)
        except Nothing:
            continue
        yield copy, said
        return

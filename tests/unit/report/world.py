"""A journal in memory, with its log, map and signed checkpoints: as much of a store as a report needs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from gateway.audit.erased import Left, erased
from gateway.audit.log.checkpoint import Checkpoint, SigningKey
from gateway.audit.log.leaf import NO_HEAD, Leaf, chain, commit, new_salt
from gateway.audit.log.patient_map import updated
from gateway.audit.log.tree import root_of
from gateway.audit.report.make import ReportMaker
from gateway.audit.row import Kind, Row, Who
from gateway.sealed import Sealer
from gateway.store.interface import Entry, Holding, Kept, KeptCheckpoint

ORIGIN: Final = "care.example.org/journal"
KEY: Final = SigningKey.new(ORIGIN)
SEALER: Final = Sealer(bytes(range(32)))
PATIENT, OTHER, NOBODY = "9990000409", "9990000476", "9990009996"
START: Final = datetime(2026, 5, 3, 9, 4, 11, tzinfo=UTC)

GP: Final = Who(
    issuer="https://issuer.example", user_id="u-gp", name="Dr Ada Obi", role_profile_id="p-1", job_role_code="R0260",
    role="gp", organisation="G85005", organisation_name="South Lewisham Group Practice",
    organisation_type="gp-practice", client_id="viewer", purpose="TREAT", acr="AAL3", token_id="t-1",
)  # fmt: skip
DOCTOR: Final = msgspec.structs.replace(
    GP, user_id="u-doc", name="Dr Ben Shah", role="hospital-doctor", organisation="RJ2",
    organisation_name="Lewisham Hospital", organisation_type="acute-trust", purpose="ETREAT",
)  # fmt: skip
OFFICER: Final = msgspec.structs.replace(
    DOCTOR, user_id="u-po", name="Priya Nair", role="privacy-officer", purpose="TREAT"
)


@dataclass
class World:
    """Rows go in by `add`; `sign` makes a checkpoint."""

    kept: list[Entry] = field(default_factory=list)
    nodes: dict[bytes, bytes] = field(default_factory=dict)
    notes: list[KeptCheckpoint] = field(default_factory=list)
    now: datetime = START

    @property
    def maker(self) -> ReportMaker:
        """Makes reports of this journal."""
        return ReportMaker(self, SEALER, KEY.public, lambda: self.now)  # type: ignore[arg-type]

    def row(self, kind: Kind, patient: str | None = PATIENT, who: Who | None = GP, **more: Any) -> Row:
        """A row as of now."""
        return Row(
            kind=kind, request_id="r-1", at=self.now, door=more.pop("door", "GET /fhir/R4/Patient/{id}/$everything"),
            who=who, patient=SEALER.patient_tag(patient) if patient else None,
            sealed_patient=SEALER.seal_patient(patient) if patient else None, **more,
        )  # fmt: skip

    def add(self, kind: Kind, patient: str | None = PATIENT, who: Who | None = GP, **more: Any) -> int:
        """One row, a minute later than the last; its number."""
        self.now += timedelta(minutes=1)
        return self.append(self.row(kind, patient, who, **more))

    def append(self, row: Row) -> int:
        """As the store does it."""
        content, salt = msgspec.json.encode(row, order="sorted"), new_salt()
        own = [entry for entry in self.kept if row.patient and entry.leaf.patient == bytes.fromhex(row.patient)]
        leaf = Leaf(
            len(self.kept) + 1,
            bytes.fromhex(row.patient) if row.patient else None,
            len(own) + 1 if row.patient else 0,
            commit(salt, content),
        )
        head = chain((own[-1].head if own else None) or NO_HEAD, leaf.hash()) if row.patient else None
        self.kept.append(Entry(leaf, content, salt, head))
        return leaf.seq

    def look(self, patient: str = PATIENT, who: Who = GP, basis: str = "patient-agreed", **more: Any) -> None:
        """Intent and release."""
        intent = self.add(Kind.INTENT, patient, who)
        given: dict[str, Any] = {"seen": {"medicines": 12, "allergies": 1, "supporting": 3}, "status": 200}
        self.add(Kind.RELEASE, patient, who, intent=intent, basis=basis, permission="p-1", **(given | more))

    async def sign(self) -> Checkpoint:
        """A checkpoint over all rows."""
        after = self.notes[-1].size if self.notes else 0
        newest = {entry.leaf.patient: entry for entry in self.kept if entry.leaf.patient and entry.leaf.seq > after}
        holdings = [Holding(tag, one.leaf.patient_seq, one.head or b"") for tag, one in newest.items() if tag]
        map_root, changes = await updated(holdings, self.map_nodes)
        self.nodes.update({path: node for path, node in changes.items() if node is not None})
        root = root_of(entry.leaf.hash() for entry in self.kept)
        checkpoint = Checkpoint(ORIGIN, len(self.kept), root, map_root, self.now)
        self.notes.append(KeptCheckpoint(checkpoint.size, KEY.sign(checkpoint)))
        return checkpoint

    def erase(self, seqs: Sequence[int], patient: str | None = None) -> None:
        """Content and salt go, the leaf stays, and a row says so."""
        for seq in seqs:
            entry = self.kept[seq - 1]
            self.kept[seq - 1] = Entry(entry.leaf, None, None, entry.head)
        self.add(Kind.ERASED, patient, None, total=len(seqs), erased=erased(Left(seq, "intent", 0) for seq in seqs))

    async def entries(
        self, *, after: int = 0, until: int | None = None, patient: str | None = None
    ) -> AsyncIterator[Sequence[Entry]]:
        """See Store."""
        yield [
            entry for entry in self.kept[after:until] if patient is None or entry.leaf.patient == bytes.fromhex(patient)
        ]

    async def rows(self, *, kinds: frozenset[Kind], after: int, before: int, limit: int) -> list[Kept]:
        """See Store."""
        decoded = [Kept(entry.leaf.seq, msgspec.json.decode(entry.row, type=Row)) for entry in self.kept if entry.row]
        return [one for one in decoded if one.row.kind in kinds and after < one.seq < before][:limit]

    async def newest_checkpoint(self) -> KeptCheckpoint | None:
        """See Store."""
        return self.notes[-1] if self.notes else None

    async def checkpoints(self, *, after: int = 0, limit: int = 1000) -> list[KeptCheckpoint]:
        """See Store."""
        return [note for note in self.notes if note.size > after][:limit]

    async def map_nodes(self, paths: Sequence[bytes]) -> dict[bytes, bytes]:
        """See Store."""
        return {path: self.nodes[path] for path in paths if path in self.nodes}

    async def range_hash(self, first: int, last: int) -> bytes:
        """See Store."""
        return root_of(entry.leaf.hash() for entry in self.kept[first:last])

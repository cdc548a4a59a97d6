"""Makes a report from the store: all the patient's rows, and their place in a signed checkpoint.

Who may ask is for the doors to say. A report that doesn't pass its own check isn't handed out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.audit.log.base64_text import encode_base64
from gateway.audit.log.checkpoint import Checkpoint, NotSigned, PublicKey, open_note
from gateway.audit.log.leaf import NO_HEAD
from gateway.audit.log.patient_map import MapDamaged, MapProof, prove
from gateway.audit.log.tree import inclusion_proof
from gateway.audit.report.as_json import as_json
from gateway.audit.report.assemble import assemble
from gateway.audit.report.check import check_report
from gateway.audit.report.erased import gone, runs_of
from gateway.audit.report.model import Erasure, Marker, Patient, Period, Proof, ProofRow, Report
from gateway.audit.report.opened import opened
from gateway.audit.row import Kind
from gateway.errors import GatewayError
from gateway.sealed import Sealer
from gateway.store.interface import Entry, Kept, Store
from gateway.store.kept import LogDamaged
from gateway.store.moments import Clock

_TRIES: Final = 5
_PAGE: Final = 500


class NotProven(GatewayError):
    """The journal as it is can't be proven, so there is no report. `detail` says why, for the operator."""

    status = 503
    code = "transient"

    def __init__(self, detail: str) -> None:
        super().__init__(
            "The journal can't be proven at this moment, so there is no report. Try again in a minute; if it stays so, "
            "tell whoever runs Connect Care to run connectcare audit verify.",
            rule="report.not-proven",
            detail=detail,
        )


@dataclass(frozen=True, slots=True)
class ReportMaker:
    """`public` is the key that the checkpoints are signed with."""

    store: Store
    sealer: Sealer
    public: PublicKey
    clock: Clock

    async def make(self, nhs_number: str, period: Period = Period()) -> Report:  # noqa: B008 (it is frozen)
        """Of the newest checkpoint there is; whoever wants a fresh one makes one first. `nhs_number` is ten digits.

        Raises NotProven where there is no checkpoint, or the journal doesn't hold what was signed.
        """
        patient = Patient(nhs_number=nhs_number, tag=self.sealer.patient_tag(nhs_number))
        proof, checkpoint = await self._proof(patient.tag)
        # Some patients have thousands of rows, and others' looks don't wait for their report.
        return await asyncio.to_thread(self._made, proof, checkpoint, patient, period)

    def _made(self, proof: Proof, checkpoint: Checkpoint, patient: Patient, period: Period) -> Report:
        problems: list[str] = []
        chain = opened(proof.rows, bytes.fromhex(patient.tag), proof.count, checkpoint.size, problems)
        erased = gone(chain.rows, proof.erasures, self.public, checkpoint, problems)
        if problems:
            raise NotProven(" ".join(problems))
        made = max(self.clock(), checkpoint.at)
        report = assemble(proof, chain.rows, patient, period, made, checkpoint.at, erased)
        if problems := check_report(as_json(report), self.public):
            raise NotProven(" ".join(problems))
        return report

    async def _proof(self, tag: str) -> tuple[Proof, Checkpoint]:
        """Rows and map as of one checkpoint: the map is that of the newest, which may become another meanwhile."""
        why = ""
        for _ in range(_TRIES):
            kept = await self.store.newest_checkpoint()
            if kept is None:
                raise NotProven("There is no signed checkpoint yet.")
            try:
                checkpoint = open_note(kept.note, self.public)
                shown = await prove(bytes.fromhex(tag), self.store.map_nodes, expected=checkpoint.map_root)
                return await self._with_rows(tag, kept.note, checkpoint, shown), checkpoint
            except MapDamaged as error:
                why = str(error)
            except (LogDamaged, NotSigned) as error:
                raise NotProven(str(error)) from error
        raise NotProven(why)

    async def _with_rows(self, tag: str, note: str, checkpoint: Checkpoint, shown: MapProof) -> Proof:
        entries = [entry async for batch in self.store.entries(patient=tag) for entry in batch]
        proven = [entry for entry in entries if entry.leaf.seq <= checkpoint.size]
        return Proof(
            key=str(self.public),
            note=note,
            count=len(proven),
            head=encode_base64((proven[-1].head if proven else None) or NO_HEAD),
            map=shown.to_json(),
            rows=tuple(map(_shown, entries)),
            erasures=await self._erasures(entries, checkpoint),
        )

    async def _erasures(self, entries: Sequence[Entry], checkpoint: Checkpoint) -> tuple[Erasure, ...]:
        """The rows about nobody that name this patient's erased ones, each with the oldest checkpoint that has them.
        A row that was erased since the checkpoint has none yet: then the report waits for the next."""
        missing = {entry.leaf.seq for entry in entries if entry.row is None}
        erasures = []
        for kept in await self._markers(checkpoint) if missing else ():
            named = {seq for seq in missing if any(seq in run for run in runs_of(kept.row))}
            dated = await self.store.checkpoints(after=max(named) - 1, limit=1) if named else []
            if dated:
                erasures.append(Erasure(marker=await self._marker(kept.seq, checkpoint), dated_by=dated[0].note))
        return tuple(erasures)

    async def _markers(self, checkpoint: Checkpoint) -> list[Kept]:
        found: list[Kept] = []
        while True:
            page = await self.store.rows(
                kinds=frozenset({Kind.ERASED}),
                after=found[-1].seq if found else 0,
                before=checkpoint.size + 1,
                limit=_PAGE,
            )
            found += page
            if len(page) < _PAGE:
                return [kept for kept in found if kept.row.patient is None]

    async def _marker(self, seq: int, checkpoint: Checkpoint) -> Marker:
        batches = [batch async for batch in self.store.entries(after=seq - 1, until=seq)]
        shown = _shown(batches[0][0])
        path = await inclusion_proof(seq - 1, checkpoint.size, self.store.range_hash)
        return Marker(seq=seq, row=shown.row, salt=shown.salt, path=tuple(map(encode_base64, path)))


def _shown(entry: Entry) -> ProofRow:
    if entry.row is None or entry.salt is None:
        return ProofRow(seq=entry.leaf.seq, commitment=encode_base64(entry.leaf.commitment))
    return ProofRow(seq=entry.leaf.seq, row=encode_base64(entry.row), salt=encode_base64(entry.salt))

"""Does a report tell all that the journal holds about its patient, and nothing else? Offline, from a pinned key.

    rows -> commitments -> leaves -> the patient's chain -> the patients' map -> a checkpoint that the pinned key signed

and then the whole report is made again of those rows, and compared: no line can be hidden, added or altered.

What this can't see, and what does: a report made from an older checkpoint is true, and old: it says up to when. Give a
checkpoint that you have from elsewhere, or an earlier report, as `newest` and `earlier`. That the tag in the log is
that of this NHS number only the master key can show (`Sealer.patient_tag`); it is the same in each of the patient's
reports, and `earlier` holds them to it.
"""

from __future__ import annotations

from dataclasses import dataclass

from connectors.sdk.nhs_number import is_nhs_number
from gateway.audit.log.checkpoint import Checkpoint, NotSigned, PublicKey, open_note
from gateway.audit.log.map_proof import MapProof, verify
from gateway.audit.log.tree import ProofFailed
from gateway.audit.report.as_html import as_html, report_in
from gateway.audit.report.as_json import NotAReport, from_json
from gateway.audit.report.assemble import assemble
from gateway.audit.report.erased import gone
from gateway.audit.report.model import FORMAT, Proof, Report
from gateway.audit.report.opened import Chain, Problems, commitment_of, decoded, is_moment, opened


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check came to. `problems` are sentences; with none of them, what the report says is proven."""

    problems: tuple[str, ...]
    report: Report | None = None

    def told(self) -> str:
        """For people."""
        if self.report is None or self.problems:
            return "\n".join(["This report does NOT hold:", *(f"  {problem}" for problem in self.problems)])
        return self.report.complete


def check_report(
    data: bytes, public: PublicKey, *, newest: Checkpoint | None = None, earlier: bytes | None = None
) -> list[str]:
    """What is wrong with a report (JSON, or the page that carries it), a sentence each; empty where it holds.

    `newest` is a checkpoint that the report must not be older than; `earlier` a report that it must continue.
    """
    return list(judged(data, public, newest=newest, earlier=earlier).problems)


def judged(
    data: bytes, public: PublicKey, *, newest: Checkpoint | None = None, earlier: bytes | None = None
) -> Verdict:
    """As `check_report`, with the report that was read."""
    try:
        report = _read(data)
        checkpoint = open_note(report.proof.note, public)
        before = from_json(_json_of(earlier)) if earlier is not None else None
    except (NotAReport, NotSigned) as error:
        return Verdict((str(error),))
    problems: Problems = []
    _check_rows(report, checkpoint, public, problems)
    if newest is not None:
        _check_newest(checkpoint, newest, problems)
    if before is not None:
        _check_continues(report, before, problems)
    if not report.made >= checkpoint.at:
        problems.append("The report says that it was made before its checkpoint was signed.")
    if data.lstrip().startswith(b"<") and not problems and as_html(report) != data:
        problems.append("The page doesn't say what the report that it carries says.")
    return Verdict(tuple(problems), report)


def _json_of(data: bytes) -> bytes:
    return report_in(data) if data.lstrip().startswith(b"<") else data


def _read(data: bytes) -> Report:
    report = from_json(_json_of(data))
    if report.format != FORMAT:
        raise NotAReport(f"This report is {report.format}, and this is a checker of {FORMAT}.")
    moments = (report.made, report.up_to, report.period.since, report.period.until)
    if not all(moment is None or is_moment(moment) for moment in moments):
        raise NotAReport("This report says times that no calendar has.")
    if not is_nhs_number(report.patient.nhs_number):
        raise NotAReport("This report isn't about an NHS number.")
    return report


def _check_rows(report: Report, checkpoint: Checkpoint, public: PublicKey, problems: Problems) -> None:
    proof = report.proof
    tag = decoded_tag(report.patient.tag, problems)
    chain = opened(proof.rows, tag, proof.count, checkpoint.size, problems)
    _check_map(proof, chain, tag, checkpoint, problems)
    erased = gone(chain.rows, proof.erasures, public, checkpoint, problems)
    if not problems:
        again = assemble(proof, chain.rows, report.patient, report.period, report.made, checkpoint.at, erased)
        problems += _differences(report, again)
    if proof.key != str(public):
        problems.append("The key in the report isn't the one that you pinned.")


def decoded_tag(text: str, problems: Problems) -> bytes:
    """The 32 bytes of a tag."""
    try:
        tag = bytes.fromhex(text)
    except ValueError:
        tag = b""
    if tag.hex() != text or len(tag) != 32:
        problems.append("The patient's tag isn't one.")
        return bytes(32)
    return tag


def _check_map(proof: Proof, chain: Chain, tag: bytes, checkpoint: Checkpoint, problems: Problems) -> None:
    if not 0 <= proof.count <= len(chain.rows):
        problems.append(f"The report should hold {proof.count:,} proven rows, and holds {len(chain.rows):,}.")
    if decoded(proof.head, "The head of the chain", problems) != chain.head:
        problems.append("The rows don't lead to the head of the chain that the report names.")
    try:
        verify(checkpoint.map_root, tag, proof.count, chain.head, MapProof.from_json(proof.map))
    except ProofFailed as error:
        problems.append(f"These aren't all rows of this patient, or not the right ones: {error}.")


def _differences(report: Report, again: Report) -> Problems:
    """Which parts of the report its rows don't bear out."""
    problems = []
    if report.events != again.events:
        for shown, made in zip(report.events, again.events, strict=False):
            if shown != made:
                problems.append(f"Line {made.number} isn't what its rows say.")
        if len(report.events) != len(again.events):
            problems.append(f"The report lists {len(report.events):,} lines, and its rows say {len(again.events):,}.")
    parts = ("title", "up_to", "introduction", "glance", "organisations", "complete")
    differing = [part for part in parts if getattr(report, part) != getattr(again, part)]
    return problems + [f"The part {part!r} isn't what the rows say." for part in differing]


def _check_newest(checkpoint: Checkpoint, newest: Checkpoint, problems: Problems) -> None:
    if newest.size > checkpoint.size:
        problems.append(
            f"The report is older than the checkpoint that you have: {checkpoint.size:,} rows of the log, not "
            f"{newest.size:,}. Ask for a new one."
        )
    elif newest.size == checkpoint.size and (newest.root, newest.map_root) != (checkpoint.root, checkpoint.map_root):
        problems.append("The report's checkpoint and the one that you have contradict each other: the log was forked.")


def _check_continues(report: Report, earlier: Report, problems: Problems) -> None:
    if report.patient != earlier.patient:
        problems.append("The earlier report is about another patient, or names them by another tag.")
    proven = earlier.proof.rows[: earlier.proof.count]
    if len(report.proof.rows) < len(proven):
        problems.append("The report holds fewer rows than the earlier one.")
    for number, (old, new) in enumerate(zip(proven, report.proof.rows, strict=False), 1):
        if old.seq != new.seq or commitment_of(old) != commitment_of(new):
            problems.append(f"Row {number} isn't what it was in the earlier report.")

"""The last step. Nothing clinical leaves the gateway but behind a row that this step has committed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec

from connectors.sdk.model import Answer, Item, Outcome
from connectors.sdk.organisations import Stage
from gateway.audit.journal import LONGEST_TEXT, Journal
from gateway.audit.row import PATIENT, Alarm, Kind, Lawful, Row, SourceLine
from gateway.audit.scrub import scrub
from gateway.caller.model import Caller
from gateway.choice.model import Permission
from gateway.desk.model import Case
from gateway.manifest import ManifestLine
from gateway.sealed import SEALED_LENGTH
from gateway.store.interface import Store

SUPPORTING = "supporting"
"""Counts what only explains another item (a practitioner, an organisation): it's in no section."""


async def release(store: Store, row: Row, cases: Sequence[Case] = ()) -> int:
    """Commit the release; returns its row's number. Only after this returns may a byte of the record leave.

    The invariant: for every record, or part of one, that a client receives, the journal durably holds a release row
    that was committed before, and in that very transaction the patient had not opted out and the row's permission,
    given to this caller for this patient, was neither withdrawn nor expired. So an acknowledged opt-out is never
    followed by a release. `cases` are what the privacy officer must look into: they are opened in that transaction.

    Raises OptedOut or NoPermission, whose refusal row is committed in the release's place, and AuditUnavailable where
    nothing could be committed. In each case the record is thrown away.
    """
    return await store.release(row, cases)


def release_row(
    journal: Journal,
    caller: Caller,
    request_id: str,
    door: str,
    nhs_number: str,
    *,
    permission: Permission | None,
    lawful: Lawful | None = None,
    intent: int,
    policy_hash: str,
    items: Iterable[Item],
    sent: Sequence[bytes],
    lines: Iterable[ManifestLine],
    answers: Iterable[Answer] = (),
    in_shadow: Collection[str] = (),
    sections: Iterable[str] = (),
    withheld: Mapping[str, int] | None = None,
    outlined: Mapping[str, int] | None = None,
    alarms: Iterable[Alarm] = (),
    subject: str = "",
    total: int | None = None,
) -> Row:
    """The row that `release` commits: what is about to be shown, and what the policy kept back and why.

    `items` are those that leave, after policy and search, and `sent` their bytes; `lawful` stands in the place of a
    permission in a disclosure; `withheld` and `outlined` count by rule id; `policy_hash` is that of the policy which
    decided; `intent` the number of the intent's row. Raises ValueError for an item without a sealed id or without its
    bytes: what can't be accounted for can't be shown. `in_shadow` are the sources that were asked without being shown.
    `total` is the number of matches where the answer tells it.
    """
    shown = list(items)
    seen_ids, digests = _sealed_ids(shown, [journal.sent_digest(each) for each in sent])
    row = journal.row(
        Kind.RELEASE if lawful is None else Kind.DISCLOSURE,
        caller,
        request_id,
        door,
        nhs_number=nhs_number,
        sections=sections,
        permission=permission,
        status=200,
        subject=subject,
        intent=intent,
        alarms=alarms,
    )
    return msgspec.structs.replace(
        row,
        policy_hash=policy_hash,
        sources=source_lines(lines, answers, in_shadow),
        seen=dict(Counter(item.section.value if item.section else SUPPORTING for item in shown)),
        seen_ids=seen_ids,
        sent=digests,
        lawful=lawful,
        total=total,
        withheld=dict(withheld or {}),
        outlined=dict(outlined or {}),
    )


def source_lines(
    lines: Iterable[ManifestLine], answers: Iterable[Answer] = (), in_shadow: Collection[str] = ()
) -> dict[str, SourceLine]:
    """What each source said, by ODS code: the manifest's line, with time taken and the operator's detail.

    Those `in_shadow` were asked and nothing of them is shown: the manifest doesn't say so, the journal must. So with
    the practice of a patient whose whereabouts turned out to be restricted: it has no line, and it was asked.
    """
    by_source = {answer.source: answer for answer in answers}
    told = {line.source: _source_line(line, by_source.get(line.source), line.source in in_shadow) for line in lines}
    unsaid = {source: _unsaid(answer) for source, answer in by_source.items() if source not in told}
    asked = SourceLine(outcome=Outcome.NOT_ASKED.value, stage=Stage.SHADOW.value)
    return {**told, **unsaid, **{source: asked for source in sorted(in_shadow) if source not in told}}


def _unsaid(answer: Answer) -> SourceLine:
    return SourceLine(outcome=answer.outcome.value, took_ms=round(answer.took_ms, 1), detail="not shown")


def _source_line(line: ManifestLine, answer: Answer | None, in_shadow: bool) -> SourceLine:
    return SourceLine(
        outcome=line.outcome.value,
        gaps={section.value: gap.value for section, gap in line.gaps.items()},
        took_ms=round(answer.took_ms, 1) if answer else 0.0,
        detail=scrub(answer.detail)[:LONGEST_TEXT] if answer else "",
        stage=Stage.SHADOW.value if in_shadow else "",
    )


def _sealed_ids(items: Sequence[Item], sent: Sequence[str]) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """{sealed prefix: [digest of the id, …]}, and in the same order {sealed prefix: [digest of what was sent, …]}.

    The prefix is the same for all items of one source, and is written once. A Patient's id is the NHS number, which no
    row holds; that it was shown is in the count of demographics, and what of it under the key "Patient".
    """
    by_prefix: dict[str, list[tuple[str, str]]] = {}
    patients = []
    for item, as_sent in zip(items, sent, strict=True):
        if item.type == PATIENT:
            patients.append(as_sent)
            continue
        prefix, dot, digest = item.sealed_id.partition(".")
        if not dot or len(item.sealed_id) != SEALED_LENGTH:
            raise ValueError(f"a {item.type} that is about to be shown has no sealed id")
        by_prefix.setdefault(prefix, []).append((digest, as_sent))
    pairs = {prefix: sorted(found) for prefix, found in sorted(by_prefix.items())}
    seen_ids = {prefix: [digest for digest, _ in found] for prefix, found in pairs.items()}
    digests = {prefix: [as_sent for _, as_sent in found] for prefix, found in pairs.items()}
    return seen_ids, digests | ({PATIENT: patients} if patients else {})

"""What is told of a try, without clinical content and without the NHS number; and the evidence that it may leave."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from connectors.sdk.grades import CONTRACT_EVIDENCE, ContractEvidence, content_hash, is_local, write_evidence
from connectors.sdk.manifest import EVIDENCE, folder_of, load_manifest
from connectors.sdk.model import Outcome, Section
from gateway.audit.scrub import scrub
from gateway.connector_commands.refusals import CannotDo
from gateway.connector_commands.trial import Tried


def told(tried: Tried) -> str:
    """The report: outcome, times, counts, sections, gaps, what is missing, and where it is journalled."""
    question, answer = tried.question, tried.answer
    calls = f", {answer.calls} calls" if answer.calls else ""  # of a question that ends in an error nobody counts them
    lines = [
        f"{question.about} ({question.organisation.name}, {question.organisation.stage}), asked at {question.host}",
        "",
        f"  outcome    {answer.outcome} in {answer.took_ms:.0f} ms of {question.seconds:g} s{calls}",
        *([f"  because    it {answer.told}"] if answer.told else []),
        *([f"  detail     {scrub(answer.detail)}"] if answer.detail else []),
        "",
        *_sections(tried),
        "",
        *_counted("by type", tried.by_type),
        *_counted("alarms", Counter({alarm.kind: alarm.count for alarm in tried.alarms})),
        *_counted("warnings", Counter(f"{one.code} in {one.section or 'all'}" for one in answer.warnings)),
        *_counted("not shown", Counter(line.reason for line in answer.traced if not line.became)),
        f"  missing    {', '.join(_missing(tried)) or 'nothing'}",
        "",
        f"  journalled in rows {tried.intent} and {tried.row}, as an access by {question.who.user_id}",
    ]
    return "\n".join(lines)


def _sections(tried: Tried) -> Iterator[str]:
    for section in Section:
        if section in tried.question.sections:
            count = tried.by_section[section.value]
            gap = tried.answer.gaps.get(section)
            state = f"not whole: {gap}" if gap else ("whole" if count else _nothing(tried))
            yield f"  {section:<15}{count:>5}  {state}"


def _nothing(tried: Tried) -> str:
    if tried.answer.outcome is Outcome.NO_RECORD:
        return "no record of this patient"
    return "not whole" if tried.answer.outcome.leaves_gap and not tried.answer.gaps else "nothing recorded"


def _counted(name: str, counts: Counter[str]) -> Iterator[str]:
    if counts:
        yield f"  {name:<10} " + ", ".join(f"{kind} {count}" for kind, count in sorted(counts.items()))


def _missing(tried: Tried) -> Iterator[str]:
    """What a reader would look for and not find, with why."""
    offered, asked = tried.question.organisation.sections, tried.question.sections
    for section in load_manifest(tried.question.connector).sections:
        if section not in offered and section is not Section.DEMOGRAPHICS:
            yield f"{section} (the connector can, the organisation's entry doesn't offer it)"
        elif section not in asked:
            yield f"{section} (the role may not see it)"
        elif section in tried.answer.gaps:
            yield f"{section} ({tried.answer.gaps[section]})"


def record(tried: Tried, owner: str) -> Path:
    """Write a whole answer as evidence for silver. Raises CannotDo where it proves nothing."""
    question = tried.question
    if not owner.strip():
        raise CannotDo("Not recorded: say who answers for the connection, with --owner.")
    if not tried.is_whole:
        raise CannotDo("Not recorded: a contract run needs every section that the organisation offers, whole.")
    if is_local(question.host) or not (question.organisation.address or "").startswith("https://"):
        raise CannotDo("Not recorded: this is no organisation's own test endpoint. Give its https address.")
    folder = folder_of(question.connector)
    file = folder / EVIDENCE / question.organisation.ods / CONTRACT_EVIDENCE
    evidence = ContractEvidence(
        connector=question.connector,
        content=content_hash(folder),
        ods=question.organisation.ods,
        endpoint=question.host,
        recorded=datetime.now(UTC).date(),
        owner=owner.strip(),
        run_by=question.who.user_id,
        outcome="answered",
        sections=dict.fromkeys(sorted(question.organisation.sections), "whole"),
        took_ms=round(tried.answer.took_ms, 1),
        calls=tried.answer.calls,
    )
    try:
        write_evidence(file, evidence)
    except OSError as error:
        raise CannotDo(f"Not recorded: {file} can't be written ({error.strerror}).") from error
    return file

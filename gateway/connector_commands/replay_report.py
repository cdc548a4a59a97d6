"""What is told of a replay: the account by fate, in words or as JSON, and the Bundle that the role would see.

The account holds keys, types, sections, counts and reasons: nothing clinical, and no NHS number.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from connectors.sdk.model import Item, Section
from gateway.api.bundle import searchset
from gateway.audit.scrub import SCRUBBED, scrub
from gateway.connector_commands.refusals import CannotDo
from gateway.connector_commands.replay import Replayed
from gateway.register.whereabouts import told as told_of_hold
from gateway.replay.account import Line, counted
from gateway.replay.fate import Fate
from gateway.same_as import as_linkage
from gateway.search.page import Link, Page
from gateway.search.query import Query

CLINICAL: Final = "It is clinical data of a patient: keep it where such data belongs, and delete it when you are done."
_PUBLIC_BASE: Final = "https://replay.invalid"
_LONGEST_KEY: Final = 100
_OTHERS: Final = "None of the Patients in these files carries the NHS number that was asked about."


def told(replayed: Replayed) -> str:
    """The account for people, grouped by fate, the reasons for what isn't shown with how many they concern."""
    counts = counted(replayed.lines)
    lines = [
        *_head(replayed),
        "",
        "  " + "   ".join(f"{fate} {counts[fate]}" for fate in Fate),
    ]
    for fate in Fate:
        if counts[fate]:
            lines += [
                "",
                f"{fate}: {counts[fate]}",
                *_of_fate([one for one in replayed.lines if one.told.fate is fate]),
            ]
    return _without(replayed, "\n".join(map(_printable, lines)))


def as_json(replayed: Replayed) -> str:
    """The same, machine-readable."""
    answer, caller = replayed.passage.answer, replayed.caller
    refused = replayed.passage.refused
    counts = counted(replayed.lines)
    document = {
        "connector": replayed.connector,
        "organisation": replayed.organisation.ods,
        "as": {"role": caller.role, "organisation": caller.organisation, "type": caller.organisation_type},
        "permission": {
            "basis": replayed.passage.steps.permission.basis,
            "scope": replayed.passage.steps.permission.scope,
        },
        "outcome": answer.outcome,
        "told": answer.told,
        "detail": scrub(answer.detail),
        "gaps": {section: answer.gaps[section] for section in Section if section in answer.gaps},
        "warnings": [{"section": one.section, "code": one.code, "text": one.text} for one in answer.warnings],
        "alarms": [{"kind": one.kind, "count": one.count} for one in replayed.passage.alarms],
        "heldBack": replayed.passage.hold,
        "refused": {"rule": refused.rule, "why": refused.told} if refused else None,
        "otherNhsNumber": replayed.others,
        "counts": {fate: counts[fate] for fate in Fate},
        "resources": [_as_object(line) for line in replayed.lines],
    }
    return _without(replayed, json.dumps(document, indent=2))


def write(replayed: Replayed, file: Path) -> None:
    """Write the Bundle that the role would see, for its owner's eyes alone. Raises CannotDo; never over a file."""
    bundle = _bundle(replayed)
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise CannotDo(f"{file} exists already. Name another file for --out.") from error
    except OSError as error:
        raise CannotDo(f"{file} can't be written ({error.strerror}). Name another file for --out.") from error
    try:
        with os.fdopen(descriptor, "wb") as out:
            out.write(bundle)
    except OSError as error:
        file.unlink(missing_ok=True)
        raise CannotDo(f"{file} can't be written ({error.strerror}). Nothing of it was left there.") from error


def _head(replayed: Replayed) -> Iterator[str]:
    passage, caller = replayed.passage, replayed.caller
    answer, permission = passage.answer, passage.steps.permission
    yield f"{replayed.connector} at {replayed.organisation.ods} ({replayed.organisation.name}), replayed"
    yield f"as {caller.role} in {caller.organisation} ({caller.organisation_type}), permission {permission.basis}"
    yield ""
    yield f"  outcome    {answer.outcome}" + (f": the source {answer.told}" if answer.told else "")
    if answer.detail:
        yield f"  detail     {scrub(answer.detail)}"
    yield from (f"  gap        {section}: {answer.gaps[section]}" for section in Section if section in answer.gaps)
    yield from (f"  warning    {one.section or 'all'}: {one.code}" for one in answer.warnings)
    yield from (f"  alarm      {one.kind}: {one.count}" for one in passage.alarms)
    if passage.hold is not None:
        yield f"  held back  {told_of_hold(passage.hold)} [{passage.hold.value}]"
    if passage.refused is not None:
        yield f"  refused    {passage.refused.told} [{passage.refused.rule}]"
    if replayed.others:
        yield f"  note       {_OTHERS}"


def _of_fate(lines: list[Line]) -> Iterator[str]:
    """By reason, where there is one; then by section and key, in the order in which they were sent."""
    by_reason: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        by_reason[_reason(line)].append(line)
    for reason, those in sorted(by_reason.items(), key=lambda pair: (pair[0] != "", -len(pair[1]), pair[0])):
        if reason:
            yield f"  {sum(line.times for line in those)} × {reason}"
        yield from map(_row, sorted(those, key=lambda line: (_place(line.section), line.type)))


def _reason(line: Line) -> str:
    """The sentence and what decided. What it's grouped with is told on its own row."""
    why = line.told.why
    if line.told.fate is Fate.GROUPED:
        return ""
    return f"{why} [{line.told.rule}]" if line.told.rule else why


def _row(line: Line) -> str:
    times = f" ({line.times} times)" if line.times > 1 else ""
    into = ", ".join(map(_short, line.told.into))
    group = f" ({_shortened(line.told.why)})" if line.told.fate is Fate.GROUPED else ""
    arrow = f"  -> {into}{group}" if into else ""
    key = line.key if len(line.key) <= _LONGEST_KEY else f"{line.key[:_LONGEST_KEY]}…"
    return f"    {line.section or '-':<14} {key}{times}{arrow}"


def _place(section: Section | None) -> int:
    return len(Section) if section is None else list(Section).index(section)


def _short(reference: str) -> str:
    """`Observation/….kq3fjd2a7xkqpa`: all ids of one source begin alike, and the end of one is found in the Bundle."""
    kind, _, name = reference.partition("/")
    digest = name.partition(".")[2]
    return f"{kind}/….{digest}" if digest else reference


def _shortened(why: str) -> str:
    return " ".join(_short(word) if "/" in word and "." in word else word for word in why.split(" "))


def _as_object(line: Line) -> Mapping[str, Any]:
    return {
        "key": line.key,
        "type": line.type,
        "section": line.section,
        "fate": line.told.fate,
        "into": list(line.told.into),
        "why": line.told.why,
        "rule": line.told.rule,
        "times": line.times,
    }


def _bundle(replayed: Replayed) -> bytes:
    """As `$everything` would answer, on one page. Raises CannotDo where nothing is released at all."""
    shown = replayed.passage.shown
    if shown is None:
        raise CannotDo("Nothing of these files would be released, so there is no Bundle to write.")
    matches: list[Item] = [item for item in shown.items if item.section is not None]
    supporting = [item for item in shown.items if item.section is None]
    number = shown.look.nhs_number
    links = (Link("self", f"{_PUBLIC_BASE}/fhir/R4/Patient/{number}/$everything"),)
    page = Page(Query("Patient", number, everything=True), tuple(matches), len(matches), links)
    return searchset(
        page,
        shown.manifest,
        supporting,
        map(as_linkage, shown.groups),
        public_base=_PUBLIC_BASE,
        moment=datetime.now(UTC),
        bundle_id=uuid4(),
    )


def _without(replayed: Replayed, text: str) -> str:
    """The text without the NHS numbers of this replay, of the register's current one too."""
    current = getattr(replayed.passage.answer.error, "current", "")
    for number in filter(None, {*replayed.numbers, current}):
        text = text.replace(number, SCRUBBED)
    return text


def _printable(line: str) -> str:
    """A source's ids are anybody's: they must not steer the terminal."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in line)

"""The card: small, and true of what was known when its time was up. What isn't known is said to be not known.

CDS Hooks 2.0, "CDS Card": `summary` of at most 140 characters, `detail` in Markdown, in which whatever a source wrote
is escaped.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from connectors.sdk.model import Gap, Outcome, Section
from gateway.manifest import AllergyState, Manifest, ManifestLine

LONGEST_SUMMARY: Final = 140
LABEL: Final = "Connect Care"
_HOLDS: Final = frozenset({Outcome.ANSWERED, Outcome.PARTIAL})
_MARKDOWN: Final = re.compile(r"[\\`*_{}\[\]#!|<>~&@$]|:(?=//)|(?<=[wW]{3})\.|^[-+](?=\s)|(?<=^\d)[.)]")
"""What Markdown reads as more than itself: also bare addresses, which GitHub's reader makes links of."""
_NOT_NONE: Final = "This does not mean that there are none."


@dataclass(frozen=True, slots=True)
class Links:
    """Where a card leads. `launch` is the SMART launch of the viewer, or "" where this EHR can't open it."""

    home: str
    launch: str
    hook_instance: str


def card(
    links: Links, summary: str, detail: Iterable[str], *, warns: bool = False, opens: bool = True
) -> dict[str, Any]:
    """One card. `detail` are paragraphs of Markdown; with `opens` it links to the viewer."""
    made: dict[str, Any] = {
        "uuid": str(uuid.uuid4()),
        "summary": summary if len(summary) <= LONGEST_SUMMARY else summary[: LONGEST_SUMMARY - 1] + "…",
        "indicator": "warning" if warns else "info",
        "detail": "\n\n".join(detail),
        "source": {"label": LABEL, "url": links.home},
    }
    if opens and links.launch:
        context = json.dumps({"hook": "patient-view", "hookInstance": links.hook_instance})
        made["links"] = [{"label": "Open in Connect Care", "url": links.launch, "type": "smart", "appContext": context}]
    return made


def of_record(links: Links, manifest: Manifest, allergies: Sequence[str], *, register: str | None) -> dict[str, Any]:
    """For somebody who has a permission. `allergies` are lines of Markdown, one for each that is shown; `register` says
    who the patient is, and isn't an organisation that holds a record."""
    holds = [line.name for line in manifest.lines if line.outcome in _HOLDS and line.source != register]
    none = [line.name for line in manifest.lines if line.outcome is Outcome.NO_RECORD and line.source != register]
    unknown = [line for line in manifest.lines if _is_unknown(line)]
    detail = [_named("Hold a record", holds), _named("Hold no record", none)]
    detail += [_named("Not known", [f"{line.speaks_for or line.name} ({_why(line)})" for line in unknown])]
    detail += [_allergies(manifest), *allergies]
    detail += ["What is never shown to your role is named with the record."] if manifest.never_shown else []
    summary = [f"{_count(len(holds))} a record", _allergies_in_short(manifest, len(allergies))]
    summary += [f"{len(unknown)} not known"] if unknown else []
    warns = bool(unknown) or manifest.allergies in (AllergyState.KNOWN, AllergyState.UNAVAILABLE)
    return card(links, "; ".join(summary), [part for part in detail if part], warns=warns)


def permission_needed(links: Links, taking_part: Sequence[str], silent: Sequence[str]) -> dict[str, Any]:
    """For somebody without a permission: nothing is known of the patient, since nobody was asked. What is told is the
    same for every patient: who takes part, and whose system isn't answering anybody."""
    detail = [
        "No organisation has been asked whether it holds anything about this patient. Ask the patient for permission, "
        "then open Connect Care.",
        _named("Take part", taking_part),
        _named("Not answering at present", silent),
    ]
    return card(links, "Connect Care: ask the patient before you look", [part for part in detail if part])


def opted_out(links: Links) -> dict[str, Any]:
    """Said to those who may open records, at whichever door they ask."""
    detail = (
        "There is no record to show, and no organisation was asked. A patient can opt back in at any time, through "
        "their GP practice or the privacy officer."
    )
    return card(links, "This patient has opted out of Connect Care", [detail], opens=False)


def not_known(links: Links, why: str) -> dict[str, Any]:
    """Nothing can be told now."""
    detail = [escaped(why), "What other organisations hold is not known from this card. " + _NOT_NONE]
    return card(links, "Connect Care: not known at the moment", detail, warns=True)


def too_late(links: Links) -> dict[str, Any]:
    """The time of a card was over before anything could be told."""
    return not_known(links, "The answer did not come in the time that a card has. Open Connect Care to see it.")


def escaped(text: str) -> str:
    """Text that no Markdown reader takes for a link, an image, HTML or emphasis."""
    return _MARKDOWN.sub(r"\\\g<0>", " ".join(text.split()))


def _named(title: str, names: Sequence[str]) -> str:
    return f"**{title}:** {'; '.join(escaped(name) for name in names)}" if names else ""


def _is_unknown(line: ManifestLine) -> bool:
    """What a source that isn't asked holds is known only where that leaves no gap."""
    if line.outcome is Outcome.NOT_ASKED:
        return bool(line.gaps)
    return line.outcome.leaves_gap or bool(line.gaps or line.warnings)


_WHY: Final[Mapping[Outcome, str]] = {
    Outcome.TIMED_OUT: "no answer in the time that a card has",
    Outcome.FAILED: "could not be asked",
    Outcome.REFUSED: "refused the question",
    Outcome.WITHHELD_BY_SOURCE: "withholds this record",
    Outcome.NOT_ASKED: "was not asked",
}


def _why(line: ManifestLine) -> str:
    if line.outcome in _WHY:
        return _WHY[line.outcome]
    return "in part, no answer in time" if Gap.TIMED_OUT in line.gaps.values() else "in part"


def _count(number: int) -> str:
    return f"{number} organisation holds" if number == 1 else f"{number} organisations hold"


def _allergies_in_short(manifest: Manifest, shown: int) -> str:
    match manifest.allergies:
        case AllergyState.KNOWN:
            return f"known allergies: {shown}"
        case AllergyState.NONE_KNOWN:
            return "no known allergies"
        case AllergyState.NOT_RECORDED:
            return "allergies not recorded"
        case AllergyState.UNAVAILABLE:
            return "allergies unavailable"
        case _:
            return "allergies are not shown to your role"


def _allergies(manifest: Manifest) -> str:
    """The four mandated states (NHS CUI, PAB-0064), with what each must own up to."""
    missing = [escaped(line.speaks_for or line.name) for line in manifest.lines if line.lacks(Section.ALLERGIES)]
    limited = " among what may be shown to you" if manifest.allergies_limited else ""
    match manifest.allergies:
        case AllergyState.KNOWN:
            more = f" There may be more: {'; '.join(missing)} can't be read as complete." if missing else ""
            return f"**Known allergies**{more}"
        case AllergyState.NONE_KNOWN:
            return f"**No known allergies**{limited}: a source states so, and none is missing."
        case AllergyState.NOT_RECORDED:
            return f"**Allergies not recorded**{limited}: no organisation holds a statement. {_NOT_NONE}"
        case AllergyState.UNAVAILABLE:
            of = f" of {'; '.join(missing)}" if missing else ""
            return f"**Allergies unavailable:** the allergies{of} could not be read. {_NOT_NONE}"
        case _:
            return ""

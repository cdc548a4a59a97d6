"""What differs, in plain text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from gateway.explain.explain import LEVELS
from gateway.policy.model import Shown
from gateway.policy.rules import Rule
from gateway.policy_changes.boxes import boxes, told
from gateway.policy_changes.changes import Change, Part
from gateway.policy_changes.past import Alike, Verdicts

_MOST_LINES = 12
Rules = Mapping[str, Rule]


def as_text(parts: Sequence[Part], tables: Sequence[str], past: Verdicts | None, rules: tuple[Rules, Rules]) -> str:
    """`rules` are the old ones and the new ones, by id."""
    lines: list[str] = []
    for part in parts:
        if part.groups:
            lines.append(f"{part.name}: {sum(each.count for each in part.groups.values())} of {part.asked} cases")
            for change in part.changes():
                lines += [f"  {line}" for line in _change(part, change, rules)]
    if not lines:
        lines.append("No decision changes.")
    lines += [f"Table: {sentence}" for sentence in tables]
    return "\n".join([*lines, *(_past(past) if past else ())])


def _change(part: Part, change: Change, rules: tuple[Rules, Rules]) -> Iterator[str]:
    before = _said(change.before, change.rules_before, rules[0])
    after = _said(change.after, change.rules_after, rules[1])
    same = "" if change.is_outcome else " (the same is shown, by another rule)"
    yield f"{before} -> {after}{same}: {change.count} cases"
    found = boxes(change.told)
    for box in found[:_MOST_LINES]:
        yield f"    {told(box, part.fields, part.every)}"
    if len(found) > _MOST_LINES:
        yield f"    and {len(found) - _MOST_LINES} more such lines"


def _said(shown: Shown, ids: Sequence[str], rules: Rules) -> str:
    named = [f"{each} ({rules[each].title})" if each in rules and len(ids) == 1 else each for each in ids]
    return f"{LEVELS[shown]} by {', '.join(named)}"


def _past(past: Verdicts) -> Iterator[str]:
    certain, might = past.certain.total(), past.might.total()
    yield (
        f"Of {past.events} past decisions, {certain} would certainly change, and {might} might: that depends on labels "
        "or on whose practice it was, which the journal doesn't hold."
    )
    if past.not_judged:
        yield f"{past.not_judged} can't be judged: their rows don't say by which door, or by whom."
    for word, counted in (("would change", past.certain), ("might change", past.might)):
        yield from _alike(word, counted)


def _alike(word: str, counted: Counter[Alike]) -> Iterator[str]:
    for alike, count in counted.most_common(_MOST_LINES):
        shown = f", seen: {', '.join(sorted(alike.shown))}" if alike.shown else ""
        on = ", ".join(filter(None, (alike.purpose, alike.basis, alike.scope, alike.policy)))
        who = f"{alike.role} in {alike.organisation_type}" + (f" ({on})" if on else "")
        yield f"  {count} {word}: {alike.action} by {who}{shown}"
    if len(counted) > _MOST_LINES:
        yield f"  and {len(counted) - _MOST_LINES} more kinds that {word}"

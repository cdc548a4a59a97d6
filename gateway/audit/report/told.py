"""What each kind of row tells a patient: its members of an Event, and the whole in plain sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.audit.report import words
from gateway.audit.report.attempts import attempted, read
from gateway.audit.report.choices import chose, took_back
from gateway.audit.report.groups import Group
from gateway.audit.report.model import Asked, Law, Person, Saw, What
from gateway.audit.report.words import clean, counted, listed
from gateway.audit.row import Kind, Row, Who
from gateway.caller.model import Role
from gateway.choice.model import Basis, Scope
from gateway.desk.model import CaseKind

Told = dict[str, Any]
"""The members of an Event that its rows' kind fills; `text` always, and `what`."""

_AGREED: Final = "You said yes."
_AGREED_TO_ALL: Final = "You said yes, and to very private things too."
_BEST_INTERESTS: Final = "You could not be asked. They thought that it was best for you."
_NOT_NEEDED: Final = "They did not need to ask you for this."
_NOTHING: Final = "Nothing was shown."
_CANNOT_SAY: Final = "We can't say if anything was shown, because later lines were erased."
_ENDED: Final = "will not look any more. They ended what you had said yes to."
_OWN_CHECK: Final = "We did a check of our own. It showed nothing of your record."
_NOT_SAID: Final = "Our list does not say if you were asked."


@dataclass(frozen=True, slots=True)
class Context:
    """What other rows of the patient say: the national reason of a permission, whose it is (`Dr Ada Obi, a GP at The
    Surgery,`), and the kind of a case, by its id. `judged` are the cases of which a privacy officer has said what they
    found. `last_erased` is the number of the patient's last row that was erased."""

    reasons: Mapping[str, str]
    holders: Mapping[str, str]
    cases: Mapping[str, str]
    judged: frozenset[str] = frozenset()
    last_erased: int = 0


def tells(row: Row, context: Context) -> bool:
    """Whether the patient is told of the cases of that row: at once of a look in their best interests, as staff know;
    of a suspicion once it's judged. Before that it may be wrong, and name a neighbour or a relative."""
    is_announced = row.detail.startswith(CaseKind.BEST_INTERESTS.value)
    return any(
        is_announced or case in context.judged or context.cases.get(case) == CaseKind.BEST_INTERESTS
        for case in row.cases
    )


def told(group: Group, context: Context) -> Told:
    """What a group that has rows tells."""
    return _BY_KIND[group.rows[0].kind](group, context)


def person(who: Who | None) -> Person | None:
    """What a patient may know of a member of staff."""
    if who is None:
        return None
    if who.role == Role.PATIENT:
        return Person(name=words.YOU, role=words.ROLES[Role.PATIENT], organisation="")
    role = words.ROLES.get(who.role, words.STAFF)
    return Person(name=clean(who.name), role=role, organisation=clean(who.organisation_name))


def name_of(row: Row) -> str:
    """`Dr Ada Obi, a GP at The Surgery,`: the subject of a sentence."""
    someone = person(row.who)
    if someone is None:
        return "The people who run Connect Care"
    if _is_patient(row):
        return words.YOU
    place = f" at {someone.organisation}" if someone.organisation else ""
    return f"{someone.name}, {someone.role}{place}," if someone.name else f"{someone.role.capitalize()}{place}"


def _is_patient(row: Row) -> bool:
    """The patient whom the row is about: on their own pages nobody does anything about anybody else."""
    return row.who is not None and row.who.role == Role.PATIENT


def entries(saw: Saw) -> str:
    """`your medicines (12 entries)`."""
    return f"{saw.what} ({counted(saw.entries, 'entry', 'entries')})"


def _seen(rows: Iterable[Row]) -> tuple[Saw, ...]:
    """By kind of information, in the order of the report's own list."""
    counts: Counter[str] = Counter()
    for row in rows:
        for section, count in row.seen.items():
            counts[words.SECTIONS.get(section, words.OTHER_SECTION)] += count
    order = dict.fromkeys([*words.SECTIONS.values(), words.OTHER_SECTION])
    return tuple(Saw(what=what, entries=counts[what]) for what in order if counts[what] > 0)


def _saw(saw: tuple[Saw, ...], row: Row) -> str:
    if saw:
        return f"They saw {listed(map(entries, saw))}."
    if row.total:
        return f"They were told that there are {counted(row.total, 'entry', 'entries')}, and saw none of them."
    return "There was nothing to show to them."


def _why(row: Row) -> str:
    return words.PURPOSES.get(row.who.purpose, words.OTHER_PURPOSE) if row.who else ""


def _permission(row: Row, context: Context) -> tuple[str, Asked]:
    if row.basis == Basis.BEST_INTERESTS:
        code = row.reason_code or context.reasons.get(row.permission or "", "")
        return " ".join(filter(None, (_BEST_INTERESTS, words.REASONS.get(code, "")))), Asked.BEST_INTERESTS
    if row.basis == Basis.PATIENT_AGREED:
        return (_AGREED_TO_ALL if row.scope == Scope.INCLUDING_SENSITIVE else _AGREED), Asked.YES
    return _NOT_SAID, Asked.NOT_SAID


def _looked(group: Group, context: Context) -> Told:
    row, saw = group.rows[0], _seen(group.rows)
    last = [one for one in group.rows if one.kind is Kind.RELEASE][-1]  # of a look in parts it says what the whole says
    cut = [words.refused_because(one.rule) for one in group.rows if one.kind is Kind.REFUSAL]
    rest = f" The rest was not shown, because {cut[0]}." if cut else ""
    why, link, (permission, asked) = _why(row), words.LINKS.get(last.relationship, ""), _permission(row, context)
    text = f"{name_of(row)} looked at your record. {_saw(saw, last)}{rest} {why} {link} {permission}"
    return {
        "what": What.LOOKED, "text": text, "why": why, "link": link, "permission": permission, "asked": asked,
        "saw": saw,
    }  # fmt: skip


def _started(group: Group, context: Context) -> Told:
    row = group.rows[0]
    # What came of it may be among what was erased since.
    shown = _CANNOT_SAY if group.numbers[-1] < context.last_erased else _NOTHING
    text = f"{name_of(row)} started to look at your record. {shown}"
    return {"what": What.STARTED, "text": text, "why": _why(row)}


def _refused(group: Group, _: Context) -> Told:
    row = group.rows[0]
    because = words.refused_because(row.rule)
    them = "You" if _is_patient(row) else "They"
    what = "any more of it" if group.is_rest else "anything"
    text = f"{name_of(row)} {attempted(row)}. {them} were not shown {what}, because {because}."
    return {"what": What.REFUSED, "text": text, "refused_because": because}


def _found(group: Group, _: Context) -> Told:
    row, saw = group.rows[0], _seen(group.rows)
    text = f"{name_of(row)} searched by name and found you. {_saw(saw, row)} {_why(row)} {_NOT_NEEDED}"
    return {
        "what": What.FOUND, "text": text, "why": _why(row), "permission": _NOT_NEEDED, "asked": Asked.NOT_NEEDED,
        "saw": saw,
    }  # fmt: skip


def _granted(group: Group, context: Context) -> Told:
    row = group.rows[0]
    is_longer = row.kind is Kind.PERMISSION_EXTENDED
    permission, asked = _permission(row, context)
    text = f"{name_of(row)} wrote down that they may look{' for longer' if is_longer else ''}. {permission}"
    what = What.PERMISSION_EXTENDED if is_longer else What.PERMISSION
    return {"what": what, "text": text, "permission": permission, "asked": asked}


def _ended(group: Group, context: Context) -> Told:
    row = group.rows[0]
    taken = took_back(row.detail, context.holders.get(row.permission or "", words.SOMEBODY))
    text = _stated(taken, row) if taken else f"{name_of(row)} {_ENDED}"
    return {"what": What.PERMISSION_ENDED, "text": text}


def _said_no(group: Group, _: Context) -> Told:
    text = f"{name_of(group.rows[0])} asked you if they may look. You said no. {_NOTHING}"
    return {"what": What.PERMISSION_REFUSED, "text": text}


def _stated(statement: str, row: Row) -> str:
    """What the patient said, and who wrote it down where somebody had to."""
    return statement if _is_patient(row) else f"{statement} {name_of(row)} wrote it down."


def _chose(group: Group, _: Context) -> Told:
    row = group.rows[0]
    return {"what": What.CHOICE, "text": _stated(chose(row.detail), row)}


def _disclosed(group: Group, _: Context) -> Told:
    row, saw = group.rows[0], _seen(group.rows)
    law = _law(row)
    permission = f"You were not asked, because {law.ground}."
    sentences = [f"{name_of(row)} gave a copy of your record to {law.recipient or 'somebody else'}.", permission]
    if row.lawful is not None and row.lawful.opted_out:
        sentences.append("You had opted out. The law can ask for it all the same.")
    if law.reference:
        sentences.append(f"The papers about it are called {law.reference}.")
    sentences.append(f"The copy held {listed(map(entries, saw))}." if saw else "The copy was empty.")
    return {
        "what": What.DISCLOSED, "text": " ".join(sentences), "permission": permission, "asked": Asked.LAW, "saw": saw,
        "law": law,
    }  # fmt: skip


def _law(row: Row) -> Law:
    if row.lawful is None:
        return Law(ground=words.OTHER_GROUND, reference="", recipient="")
    ground = words.GROUNDS.get(row.lawful.basis, words.OTHER_GROUND)
    return Law(ground=ground, reference=clean(row.lawful.reference), recipient=clean(row.lawful.recipient))


def _case_opened(group: Group, context: Context) -> Told:
    if not tells(group.rows[0], context):
        return {"what": What.CHECK, "text": _OWN_CHECK}
    return {"what": What.CASE_OPENED, "text": f"A privacy officer was asked to check {_case(group, context)}."}


def _case_moved(group: Group, context: Context) -> Told:
    row = group.rows[0]
    if not tells(row, context):
        return {"what": What.CHECK, "text": _OWN_CHECK}
    before, _, after = row.detail.partition(" -> ")
    outcome = words.OUTCOMES.get(after, words.OTHER_OUTCOME)
    if before.endswith(after):
        outcome = words.OTHER_OUTCOME  # a note, which changes nothing
    return {"what": What.CASE_MOVED, "text": f"{name_of(row)} {outcome.format(_case(group, context))}"}


def _case(group: Group, context: Context) -> str:
    row = group.rows[0]
    named = row.detail.partition(":")[0] if row.kind is Kind.CASE_MOVED else ""
    kinds = (named, *(context.cases.get(case, "") for case in row.cases))
    return next((words.CASES[kind] for kind in kinds if kind in words.CASES), words.OTHER_CASE)


def _read(group: Group, _: Context) -> Told:
    row = group.rows[0]
    return {"what": What.AUDIT_READ, "text": f"{name_of(row)} read {read(row)}."}


def _tested(group: Group, _: Context) -> Told:
    text = f"{name_of(group.rows[0])} tested a new link to a place that holds your record. They saw how many entries "
    return {"what": What.LINK_TESTED, "text": f"{text}came, and none of the entries."}


def _erased(group: Group, _: Context) -> Told:
    return {"what": What.ERASED, "text": f"{name_of(group.rows[0])} erased old lines of this list."}


def _configured(_: Group, __: Context) -> Told:
    """It is about no patient, and so is in nobody's report; should one ever name a patient, it isn't hidden."""
    return {"what": What.SET_UP, "text": "Connect Care was set up anew. Nobody saw your record."}


_BY_KIND: Final[Mapping[Kind, Callable[[Group, Context], Told]]] = {
    Kind.INTENT: _started,
    Kind.RELEASE: _looked,
    Kind.REFUSAL: _refused,
    Kind.PERSON_SOUGHT: _started,
    Kind.PERSON_ANSWERED: _found,
    Kind.SHARING_CHOICE: _chose,
    Kind.PERMISSION_GRANTED: _granted,
    Kind.PERMISSION_EXTENDED: _granted,
    Kind.PERMISSION_WITHDRAWN: _ended,
    Kind.PERMISSION_REFUSED: _said_no,
    Kind.CASE_OPENED: _case_opened,
    Kind.CASE_MOVED: _case_moved,
    Kind.DISCLOSURE: _disclosed,
    Kind.ERASED: _erased,
    Kind.AUDIT_READ: _read,
    Kind.SOURCE_TRIED: _tested,
    Kind.CONFIGURED: _configured,
}
"""Every kind has its words: a row that were left out could hide a look."""

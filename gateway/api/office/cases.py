"""`/office/cases`: the queue of cases, and each with its history and what may be done now.

An address names a case by its id, and the queue's filters; never a patient.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fastapi import APIRouter, Request, Response

from gateway.api.office.audit import line
from gateway.api.office.visit import Visit, chosen, visited
from gateway.api.pages import sent_to
from gateway.choice.may import JUDGE_CASE, READ_DESK
from gateway.choice.reasons import DISPLAY, ReasonCode
from gateway.desk.kinds import MEANS, TITLES
from gateway.desk.model import CaseFile, CaseKind, CaseStatus
from gateway.desk.officer import Opened, Wanted, next_of
from gateway.errors import BadRequest, Conflict
from gateway.search.pairs import pairs_of
from gateway.web.rows import role_of

CASES: Final = "/office/cases"
router = APIRouter(include_in_schema=False)
STATUS: Final[Mapping[CaseStatus, tuple[str, str]]] = {
    CaseStatus.OPEN: ("Open", ""),
    CaseStatus.QUESTIONED: ("Questioned", "You asked them, and wait for an answer."),
    CaseStatus.JUSTIFIED: ("Justified", "They had a good reason. Final."),
    CaseStatus.NOT_JUSTIFIED: ("Not justified", "They had none. Final: tell who must know."),
}
_TOLD: Final[Mapping[str, str]] = {
    "desk.somebody-was-first": "Something was written to this case since you opened it: by somebody else, or by you, "
    "if you clicked twice. Read it below, and decide anew. Your note is still here.",
    "desk.judged": "This case was judged already, and stays so. Add a note with what has come to light since.",
}
"""What a page says in place of words that are for callers of the API."""
_WAITING: Final = (CaseStatus.OPEN, CaseStatus.QUESTIONED)
_MOST: Final = 25
_LONGEST_NUMBER: Final = 15
_FILTERS: Final = frozenset({"status", "kind", "overdue", "after"})


@router.get(CASES)
async def queue(request: Request) -> Response:
    """Cases of the officer's own organisation's staff, oldest due first."""
    return await visited(request, _queue)


@router.get(CASES + "/{case_id}")
async def case(request: Request) -> Response:
    """One case."""
    return await visited(request, _case)


@router.post(CASES + "/{case_id}")
async def write(request: Request) -> Response:
    """Add a note, and move the case where that is chosen."""
    return await visited(request, _write)


async def _queue(visit: Visit) -> Response:
    visit.demand(READ_DESK)
    asked = _Filters(pairs_of(visit.request.scope["query_string"]))
    page = await visit.parts.desk.queue(
        visit.caller,
        Wanted(status=frozenset(asked.status), kinds=frozenset(asked.kinds) or None, overdue=asked.overdue),
        visit.request_id,
        after=asked.after,
        limit=_MOST,
        door=visit.door,
    )
    return visit.shown(
        "cases",
        title="Cases",
        cases=[_line(visit, file) for file in page.files],
        asked=asked,
        next=asked.address(page.after) if page.after is not None else "",
        statuses={status: (told, "") for status, (told, _) in STATUS.items()},
        kinds={kind: (title, "") for kind, title in TITLES.items()},
    )


class _Filters:
    """What the queue's address asks for: whatever waits for a judgement, where it doesn't say."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self.status = [_word(CaseStatus, value) for name, value in pairs if name == "status"] or list(_WAITING)
        self.kinds = [_word(CaseKind, value) for name, value in pairs if name == "kind"]
        self.overdue = True if ("overdue", "yes") in pairs else None
        after = next((value for name, value in pairs if name == "after"), "0")
        if {name for name, _ in pairs} - _FILTERS or not after.isdecimal() or len(after) > _LONGEST_NUMBER:
            raise _no_filter()
        self.after = int(after)

    def address(self, after: int) -> str:
        """Of the next page."""
        words = [*(f"status={each}" for each in self.status), *(f"kind={each}" for each in self.kinds)]
        return f"{CASES}?{'&'.join([*words, *(['overdue=yes'] if self.overdue else []), f'after={after}'])}"


def _word(kind: Any, value: str) -> Any:
    try:
        return kind(value)
    except ValueError as error:
        raise _no_filter() from error


def _no_filter() -> BadRequest:
    return BadRequest("There is no such filter. Open Cases from the menu, and choose there.", rule="office.filter")


async def _case(visit: Visit) -> Response:
    return await _shown(visit, {})


async def _shown(visit: Visit, fields: Mapping[str, str], error: BadRequest | Conflict | None = None) -> Response:
    """The case as it stands now; with what is wrong with what was sent."""
    opened = await visit.parts.desk.read(
        visit.caller, visit.request.path_params["case_id"], visit.request_id, door=visit.door
    )
    ways = next_of(opened.file.status)
    return visit.shown(
        "case",
        status=error.status if error else 200,
        title=TITLES[opened.file.case.kind],
        case=_line(visit, opened.file),
        detail=_detail(visit, opened),
        statuses=STATUS,
        ways={status: told for status, told in STATUS.items() if status in ways},
        fields=fields,
        error=error,
        told=_TOLD.get(error.rule, error.told) if error else "",
    )


def _line(visit: Visit, file: CaseFile) -> dict[str, Any]:
    case = file.case
    sealed = case.sealed_patient
    return {
        "href": f"{CASES}/{case.id}",
        "title": TITLES[case.kind],
        "means": MEANS[case.kind],
        "status": STATUS[file.status][0],
        "is_open": file.judged_at is None,
        "overdue": file.is_overdue(visit.parts.desk.now()),
        "opened": case.opened_at,
        "due": case.due_at,
        "number": visit.parts.sealer.open_patient(sealed) if sealed else "",
        "name": case.name,
        "role": role_of(case.role),
        "user": case.user_id,
        "seen": len(file.entries),
    }


def _detail(visit: Visit, opened: Opened) -> dict[str, Any]:
    sealer, permission = visit.parts.sealer, opened.permission
    return {
        "permission": permission,
        "reason": sealer.open_text(permission.reason, permission.id) if permission else "",
        "code": DISPLAY[ReasonCode(permission.reason_code)] if permission and permission.reason_code else "",
        "looks": [line(visit, kept) for kept in opened.looks.rows],
        "more": opened.looks.more,
        "history": [
            {
                "at": entry.at,
                "by": entry.by_name,
                "status": STATUS[entry.status][0],
                "note": sealer.open_text(entry.note, f"{entry.case}:{entry.number}"),
            }
            for entry in opened.file.entries
        ],
    }


async def _write(visit: Visit) -> Response:
    fields = await visit.form()
    try:
        async with visit.refusals():
            visit.demand(JUDGE_CASE)
            seen = _seen(fields)
        await _move(visit, fields, seen)
    except (BadRequest, Conflict) as error:
        return await _shown(visit, fields, error)
    return sent_to(visit.request.url.path)


async def _move(visit: Visit, fields: Mapping[str, str], seen: int) -> None:
    desk, case_id, note = visit.parts.desk, visit.request.path_params["case_id"], fields.get("note", "")
    if not fields.get("to"):
        await desk.note(visit.caller, case_id, note, visit.request_id, seen=seen, door=visit.door)
        return
    async with visit.refusals():
        to = chosen(fields, "to", CaseStatus, "Choose what the case becomes.")
    await desk.move(visit.caller, case_id, to, note, visit.request_id, seen=seen, door=visit.door)


def _seen(fields: Mapping[str, str]) -> int:
    """How much of the history was there when the form was made."""
    seen = fields.get("seen", "")
    if not seen.isdecimal() or len(seen) > _LONGEST_NUMBER:
        raise BadRequest("This form can't be used any more. Open the case again.", rule="form.once")
    return int(seen)

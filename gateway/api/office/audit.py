"""`/office/audit`: who looked at whom, by patient, by member of staff or by request; and why each could, or couldn't.

What was asked for stands sealed in the address of its results, so that they can be turned over and read again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fastapi import APIRouter, Request, Response

from gateway.api.office.fields import begins, is_over, period_of
from gateway.api.office.visit import Visit, visited
from gateway.api.pages import sent_to
from gateway.audit.read import Query
from gateway.audit.row import Kind
from gateway.choice.may import MAKE_REPORT, READ_AUDIT
from gateway.choice.number import nhs_number_of
from gateway.errors import BadRequest, NotFound
from gateway.store.interface import Kept
from gateway.web import rows

AUDIT: Final = "/office/audit"
EXPLAINED: Final = "/office/explained"
router = APIRouter(include_in_schema=False)
_MOST: Final = 50
_MOST_OF_A_REQUEST: Final = 500
_LONGEST: Final = 100
KINDS: Final[Mapping[str, tuple[str, frozenset[Kind] | None]]] = {
    "": ("Everything", None),
    "looks": ("Looks and disclosures", frozenset({Kind.RELEASE, Kind.DISCLOSURE})),
    "refusals": ("Refusals", frozenset({Kind.REFUSAL})),
    "searches": ("Searches by name", frozenset({Kind.PERSON_SOUGHT, Kind.PERSON_ANSWERED})),
    "choices": (
        "Choices and permissions",
        frozenset(
            {
                Kind.SHARING_CHOICE,
                Kind.PERMISSION_GRANTED,
                Kind.PERMISSION_EXTENDED,
                Kind.PERMISSION_WITHDRAWN,
                Kind.PERMISSION_REFUSED,
            }
        ),
    ),
    "cases": ("Cases", frozenset({Kind.CASE_OPENED, Kind.CASE_MOVED})),
    "readings": ("Readings of the audit", frozenset({Kind.AUDIT_READ})),
    "configured": ("What was set up anew", frozenset({Kind.CONFIGURED})),
}
"""What a search can be narrowed to, by the form's word."""


@router.get(AUDIT)
async def search(request: Request) -> Response:
    """Which rows?"""
    return await visited(request, _search)


@router.post(AUDIT)
async def find(request: Request) -> Response:
    """On to the rows."""
    return await visited(request, _find)


@router.get(AUDIT + "/{sealed}")
async def found(request: Request) -> Response:
    """A page of rows."""
    return await visited(request, _found)


@router.get(EXPLAINED + "/{sealed}")
async def explained(request: Request) -> Response:
    """Why somebody could, or couldn't, see what they asked for."""
    return await visited(request, _explained)


async def _search(visit: Visit) -> Response:
    visit.demand(READ_AUDIT)
    return _form(visit, {})


def _form(visit: Visit, fields: Mapping[str, str], error: BadRequest | None = None) -> Response:
    kinds = [{"value": word, "text": text} for word, (text, _) in KINDS.items()]
    status = error.status if error else 200
    return visit.shown("audit", status=status, title="Search the audit", fields=fields, error=error, kinds=kinds)


async def _find(visit: Visit) -> Response:
    visit.demand(READ_AUDIT)
    fields = await visit.form()
    try:
        async with visit.refusals():
            asked = _asked(fields)
    except BadRequest as error:
        return _form(visit, fields, error)
    return sent_to(f"{AUDIT}/{visit.seal(asked)}")


def _asked(fields: Mapping[str, str]) -> dict[str, Any]:
    """What the form asks for, checked. Raises BadRequest with what to mend."""
    number, user, request_id = (fields.get(name, "").strip() for name in ("nhsNumber", "userId", "requestId"))
    since, until = period_of(fields)
    asked = {
        "number": nhs_number_of(number) if number else "",
        "user": _short(user, "userId"),
        "request": _short(request_id, "requestId"),
        "kind": fields.get("kind", ""),
        "since": since,
        "until": until,
    }
    if asked["kind"] not in KINDS:
        raise BadRequest("Choose what to show.", rule="form.incomplete", expression="kind")
    if not (number or user or request_id):
        raise BadRequest(
            "Enter an NHS number, a member of staff's user ID, or a request ID.",
            rule="form.incomplete",
            expression="nhsNumber",
        )
    return asked


def _short(text: str, name: str) -> str:
    if len(text) > _LONGEST:
        raise BadRequest(f"Write at most {_LONGEST} characters.", rule="form.too-long", expression=name)
    return text


def _query(asked: Mapping[str, Any]) -> Query:
    return Query(
        nhs_number=asked["number"] or None,
        user_id=asked["user"] or None,
        request_id=asked["request"] or None,
        kinds=KINDS[asked["kind"]][1],
        since=begins(asked["since"]),
        until=is_over(asked["until"]),
    )


async def _found(visit: Visit) -> Response:
    asked = visit.opened()
    page = await visit.parts.audit.read(
        visit.caller,
        _query(asked),
        visit.request_id,
        after=asked.get("after", 0),
        before=asked.get("before"),
        limit=_MOST,
        door=visit.door,
    )
    following = {**asked, "after": page.after, "before": page.before}
    return visit.shown(
        "found",
        title="Audit",
        asked=asked,
        narrowed=KINDS[asked["kind"]][0],
        rows=[line(visit, kept) for kept in page.rows],
        next=f"{AUDIT}/{visit.seal(following)}" if page.after is not None else "",
        may_report=visit.may(MAKE_REPORT),
    )


def line(visit: Visit, kept: Kept) -> dict[str, Any]:
    """A row as a list shows it, with the way to why."""
    row, who = kept.row, kept.row.who
    sealed = row.sealed_patient
    return {
        "number": kept.seq,
        "at": row.at,
        "told": rows.told(row, visit.parts.policy.rules),
        "refused": row.kind is Kind.REFUSAL,
        "name": (who.name or who.user_id) if who else "Nobody who is known",
        "role": rows.role_of(who.role) if who else "",
        "user": who.user_id if who else "",
        "organisation": who.organisation_name if who else "",
        "patient": visit.parts.sealer.open_patient(sealed) if sealed else "",
        "why": f"{EXPLAINED}/{visit.seal({'request': row.request_id})}#row-{kept.seq}",
    }


async def _explained(visit: Visit) -> Response:
    request_id = str(visit.opened()["request"])
    page = await visit.parts.audit.read(
        visit.caller, Query(request_id=request_id), visit.request_id, limit=_MOST_OF_A_REQUEST, door=visit.door
    )
    if not page.rows:
        raise NotFound("The rows of this request aren't there any more: they were erased.", rule="audit.no-such-row")
    explanation = await visit.parts.explainer.explain(request_id, page.rows)
    lines = {kept.seq: line(visit, kept) for kept in page.rows}
    return visit.shown(
        "explained", title="Why could they see it?", explanation=explanation, lines=lines, bases=rows.BASES
    )

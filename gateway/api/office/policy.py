"""`/office/policy`: who sees what under the policy in force, and what changed from one policy to another."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request, Response

from gateway.api.office.visit import Visit, visited
from gateway.api.pages import refuse_parameters
from gateway.choice.may import READ_POLICY
from gateway.errors import BadRequest

POLICY: Final = "/office/policy"
CHANGES: Final = POLICY + "/changes"
router = APIRouter(include_in_schema=False)
_NO_PARAMETERS: Final = "This page takes no parameters: fill in its form."
_INDENT: Final = 2
_SIGNS: Final = {"F": "Whole", "O": "Outline", "–": "No", "yes": "Yes"}


@router.get(POLICY)
async def matrix(request: Request) -> Response:
    """Who sees what, who may do what, and every rule with its reason."""
    return await visited(request, _matrix)


@router.get(CHANGES)
async def choose(request: Request) -> Response:
    """From which policy to which?"""
    return await visited(request, _choose)


@router.post(CHANGES)
async def changes(request: Request) -> Response:
    """What is decided otherwise."""
    return await visited(request, _changes)


async def _matrix(visit: Visit) -> Response:
    visit.demand(READ_POLICY)
    refuse_parameters(visit.request, _NO_PARAMETERS, "office.parameters")
    policy = visit.parts.policy
    return visit.shown(
        "policy",
        title="Who sees what",
        tables=await visit.parts.policies.tables(),
        hash=policy.hash,
        cell=_cell,
        changes=CHANGES,
    )


def _cell(text: str) -> str:
    """A sign in words: `–, F¹` is no, and whole where the note says."""
    first, *more = text.split(", ")
    return ", ".join([_SIGNS.get(first, first), *(_SIGNS.get(each[:-1], each[:-1]) + each[-1] for each in more)])


async def _choose(visit: Visit) -> Response:
    visit.demand(READ_POLICY)
    refuse_parameters(visit.request, _NO_PARAMETERS, "office.parameters")
    return await _form(visit, {})


async def _changes(visit: Visit) -> Response:
    fields = await visit.form()
    try:
        async with visit.refusals():
            visit.demand(READ_POLICY)
            text = await visit.parts.policies.changes(fields.get("before", ""), fields.get("after", ""))
    except BadRequest as error:
        return await _form(visit, fields, error)
    return await _form(visit, fields, lines=[_line(each) for each in text.splitlines()])


async def _form(
    visit: Visit, fields: dict[str, str], error: BadRequest | None = None, lines: list[tuple[int, str]] | None = None
) -> Response:
    kept = await visit.parts.policies.hashes()
    in_force = visit.parts.policy.hash
    offered = [{"value": each, "text": each[:12] + (", in force now" if each == in_force else "")} for each in kept]
    status = error.status if error else 200
    return visit.shown(
        "changes",
        status=status,
        title="What changed",
        fields={"before": kept[-1], "after": in_force, **fields},
        error=error,
        offered=offered,
        lines=lines,
        matrix=POLICY,
    )


def _line(text: str) -> tuple[int, str]:
    """How far a line of the comparison is set in, and what it says."""
    said = text.lstrip(" ")
    return min((len(text) - len(said)) // _INDENT, 3), said

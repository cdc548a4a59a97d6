"""`/office/reports`: a patient's access report with its proof, as a file to hand on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fastapi import APIRouter, Request, Response

from gateway.api.office.fields import begins, is_over, period_of
from gateway.api.office.visit import Visit, chosen, visited
from gateway.api.reports import as_file
from gateway.audit.report.formats import Format
from gateway.audit.report.model import Period
from gateway.choice.may import MAKE_REPORT
from gateway.choice.number import nhs_number_of
from gateway.errors import BadRequest

REPORTS: Final = "/office/reports"
router = APIRouter(include_in_schema=False)
FORMATS: Final[Mapping[Format, tuple[str, str]]] = {
    Format.HTML: ("A page to print", "For the patient. The whole proof is in it as a file."),
    Format.JSON: ("JSON with the proof", "For whoever checks it, such as a solicitor."),
    Format.CSV: ("CSV", "The lines alone, without the proof."),
}


@router.get(REPORTS)
async def choose(request: Request) -> Response:
    """Whose report?"""
    return await visited(request, _choose)


@router.post(REPORTS)
async def make(request: Request) -> Response:
    """The report, as a file."""
    return await visited(request, _make)


async def _choose(visit: Visit) -> Response:
    visit.demand(MAKE_REPORT)
    return _form(visit, {})


def _form(visit: Visit, fields: Mapping[str, str], error: BadRequest | None = None) -> Response:
    status = error.status if error else 200
    return visit.shown("report", status=status, title="Access report", fields=fields, error=error, formats=FORMATS)


async def _make(visit: Visit) -> Response:
    fields = await visit.form()
    try:
        async with visit.refusals():
            visit.demand(MAKE_REPORT)
            number = nhs_number_of(fields.get("nhsNumber", ""))
            form = chosen(fields, "format", FORMATS, "Choose a form of the report.")
            since, until = period_of(fields)
        period = Period(since=begins(since), until=is_over(until))
        report = await visit.parts.reports.make(visit.caller, number, period, visit.request_id, door=visit.door)
    except BadRequest as error:
        return _form(visit, fields, error)
    return await as_file(report, form)

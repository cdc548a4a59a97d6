"""`/access-reports`: who looked at a patient, why and at what, with the proof that nothing is left out."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from fastapi import APIRouter, Request, Response

from gateway.api.contract import takes
from gateway.api.door import opened
from gateway.api.http import read_model
from gateway.api.models import AccessReportRequest
from gateway.audit.report.formats import FORMS, Format
from gateway.audit.report.model import Period, Report

router = APIRouter(tags=["audit"])

_CONTENT: Final[dict[str, Any]] = {"application/json": {}, "text/csv": {}, "text/html": {}}


@router.post(
    "/access-reports",
    response_class=Response,
    responses={200: {"description": "The report: docs/access-report.md", "content": _CONTENT}},
    openapi_extra=takes(AccessReportRequest),
)
async def make_report(request: Request) -> Response:
    """One patient's access report as a file. For privacy officers; making it is audited, and stands in the report."""
    async with opened(request) as door:
        body = await read_model(request, door.parts.settings.max_body_bytes, AccessReportRequest)
        door.about(body.nhsNumber)
        period = Period(since=body.since, until=body.until)
        report = await door.parts.reports.make(door.caller, body.nhsNumber, period, door.request_id, door=door.name)
        return await as_file(report, body.format)


async def as_file(report: Report, format_: Format) -> Response:
    """A report to be kept. A file's name ends up in downloads and mails: it names nobody."""
    form = FORMS[format_]
    named = {"Content-Disposition": f'attachment; filename="access-report.{format_.value}"'}
    return Response(await asyncio.to_thread(form.write, report), media_type=form.media_type, headers=named)

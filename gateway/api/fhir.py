"""`/fhir/R4`: the FHIR API. Each route makes a question and hands it to the pipeline; nothing is looked up here."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from gateway.api.asking import bundled, find_person, of_type, open_record, open_with_parameters
from gateway.api.door import parts_of, template
from gateway.api.http import FORM, read_body, request_id
from gateway.api.live import open_everything
from gateway.api.questions import Failing
from gateway.api.reading import ReadById
from gateway.errors import GatewayError
from gateway.search.person import seeks_person

router = APIRouter(prefix="/fhir/R4", include_in_schema=False)
compartments = APIRouter(prefix="/fhir/R4", include_in_schema=False)
"""It comes after every operation on a Patient: `{resource_type}` would take their names."""


@router.get("/Patient/{patient}/$everything")
async def everything(request: Request, patient: str) -> Response:
    """The whole record as one Bundle, or part by part as an event stream."""
    return await open_everything(request, bundled(request, "Patient", everything_of=patient))


@router.post("/Patient/{patient}/$everything")
async def post_everything(request: Request, patient: str) -> Response:
    """The same with its parameters as a Parameters resource, or with no body at all."""
    return await open_with_parameters(
        request,
        lambda posted: open_everything(request, bundled(request, "Patient", everything_of=patient, posted=posted)),
    )


@router.get("/{resource_type}")
async def search(request: Request, resource_type: str) -> Response:
    """Search one type of one patient; or, by name and birth date, a person whose NHS number nobody knows."""
    if resource_type == "Patient" and seeks_person(request.scope["query_string"]):
        return await find_person(request)
    return await open_record(request, of_type(request, resource_type) or bundled(request, resource_type))


@router.post("/{resource_type}/_search")
async def post_search(request: Request, resource_type: str) -> Response:
    """The same search with its parameters in the body, where no log of addresses can keep them."""
    unknown = of_type(request, resource_type)
    if unknown:
        return await open_record(request, unknown)
    try:
        form = await read_body(request, parts_of(request).settings.max_body_bytes, frozenset({FORM}))
    except GatewayError as error:
        return await open_record(request, Failing(template(request, resource_type), request_id(request), error))
    if resource_type == "Patient" and seeks_person(request.scope["query_string"], form):
        return await find_person(request, form)
    return await open_record(request, bundled(request, resource_type, form=form), form)


@router.get("/{resource_type}/{resource_id}")
async def read(request: Request, resource_type: str, resource_id: str) -> Response:
    """One resource by its sealed id."""
    parts = parts_of(request)
    question = of_type(request, resource_type) or ReadById(
        door=template(request, resource_type),
        request_id=request_id(request),
        resource_type=resource_type,
        id=resource_id,
        raw_query=request.scope["query_string"],
        sealer=parts.sealer,
        usable=parts.usable,
    )
    return await open_record(request, question)


@compartments.get("/Patient/{patient}/{resource_type}")
async def in_compartment(request: Request, patient: str, resource_type: str) -> Response:
    """Search one type in one patient's compartment: the address says whose record it is."""
    unknown = of_type(request, resource_type, compartment=True)
    return await open_record(request, unknown or bundled(request, resource_type, compartment_of=patient))

"""`/sharing-choices`: a patient opts out of Connect Care, or back in."""

from __future__ import annotations

from fastapi import APIRouter, Request

from gateway.api.contract import takes
from gateway.api.door import opened
from gateway.api.http import read_model
from gateway.api.models import PatientRequest, SharingChoiceAnswer, SharingChoiceRequest
from gateway.choice.model import SharingChoice
from gateway.choice.sharing import proxy_of
from gateway.sealed import Sealer

router = APIRouter(tags=["choice"])


@router.post("/sharing-choices", status_code=201, openapi_extra=takes(SharingChoiceRequest))
async def record_choice(request: Request) -> SharingChoiceAnswer:
    """In force everywhere from the moment of the answer: no record is shown after an opt-out was acknowledged."""
    async with opened(request) as door:
        body = await read_model(request, door.parts.settings.max_body_bytes, SharingChoiceRequest)
        door.about(body.nhsNumber)
        recorded = await door.parts.sharing.record(
            door.caller,
            body.nhsNumber,
            body.choice,
            body.statedBy,
            body.channel,
            door.request_id,
            reason=body.reason,
            proxy=body.proxy,
            identified_by=body.identifiedBy,
            door=door.name,
        )
        return _answer(recorded, door.parts.sealer)


@router.post("/sharing-choices/_search", openapi_extra=takes(PatientRequest))
async def choices_of_patient(request: Request) -> list[SharingChoiceAnswer]:
    """The history of one patient's choices, oldest first. For privacy officers; reading it is audited."""
    async with opened(request) as door:
        body = await read_model(request, door.parts.settings.max_body_bytes, PatientRequest)
        door.about(body.nhsNumber)
        history = await door.parts.sharing.history(door.caller, body.nhsNumber, door.request_id, door=door.name)
        return [_answer(choice, door.parts.sealer) for choice in history]


def _answer(choice: SharingChoice, sealer: Sealer) -> SharingChoiceAnswer:
    return SharingChoiceAnswer(
        id=choice.id,
        nhsNumber=sealer.open_patient(choice.sealed_patient),
        choice=choice.choice,
        statedBy=choice.stated_by,
        channel=choice.channel,
        recordedBy=choice.recorded_by_name,
        organisation=choice.organisation,
        recordedAt=choice.recorded_at,
        reason=sealer.open_text(choice.reason, choice.id),
        proxy=sealer.open_text(choice.proxy, proxy_of(choice.id)),
        identifiedBy=choice.identified_by,
    )

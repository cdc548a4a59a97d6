"""`/office/calls`: whoever takes the patient's call finds them by number and birth date, and records what they choose.

Found is nothing of a record: what was chosen before, and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fastapi import APIRouter, Request, Response

from gateway.api import once
from gateway.api.office.person import Person
from gateway.api.office.visit import Visit, chosen, visited
from gateway.api.pages import refuse_parameters, sent_to
from gateway.choice import words
from gateway.choice.may import RECORD_CHOICE
from gateway.choice.model import Channel, Choice, IdentifiedBy, SharingChoice, StatedBy
from gateway.choice.sharing import proxy_of
from gateway.errors import BadRequest, NotFound, NumberReplaced
from gateway.fair_use.count import Use
from gateway.web.words import grouped

CALLS: Final = "/office/calls"
CHOICES: Final[Mapping[Choice, tuple[str, str]]] = {
    Choice.OPTED_OUT: (
        "Opt out",
        "No organisation is asked any more, and nobody is shown the record, from this moment. Every permission to look "
        "ends.",
    ),
    Choice.OPTED_IN: ("Opt in", "Staff who care for them may look, once they have asked the patient."),
}
STATED_BY: Final[Mapping[StatedBy, tuple[str, str]]] = {
    StatedBy.PATIENT: ("The patient", ""),
    StatedBy.PROXY: ("Somebody who speaks for the patient", "A parent, say, or an attorney for health and welfare."),
    StatedBy.REPRESENTATIVE: ("The representative of a patient who has died", "An executor, say."),
}
CHANNELS: Final[Mapping[Channel, tuple[str, str]]] = {
    Channel.PHONE: ("By phone", ""),
    Channel.IN_PERSON: ("In person", ""),
    Channel.LETTER: ("By letter", ""),
    Channel.EMAIL: ("By email", ""),
}
IDENTIFIED_BY: Final[Mapping[IdentifiedBy, tuple[str, str]]] = {
    IdentifiedBy.DOCUMENTS: ("They showed documents", "One with a photo, and one with their address."),
    IdentifiedBy.KNOWN: ("Somebody here knows them", "A member of staff who has known them for some time."),
    IdentifiedBy.QUESTIONS: ("They answered questions about their record", "Questions that only they could answer."),
    IdentifiedBy.CALLED_BACK: ("We called back", "On a number that was known before this call."),
}
router = APIRouter(include_in_schema=False)


@router.get(CALLS)
async def call(request: Request) -> Response:
    """Whom is it about?"""
    return await visited(request, _whom)


@router.post(CALLS)
async def find(request: Request) -> Response:
    """On to the page of whoever it is about."""
    return await visited(request, _find)


@router.get(CALLS + "/{sealed}")
async def person(request: Request) -> Response:
    """What is in force, what was chosen before, and the form for what they choose now."""
    return await visited(request, _person)


@router.post(CALLS + "/{sealed}")
async def record(request: Request) -> Response:
    """Record what they chose."""
    return await visited(request, _record)


@router.get(CALLS + "/{sealed}/recorded")
async def recorded(request: Request) -> Response:
    """What is in force now, and what that means."""
    return await visited(request, _recorded)


async def _whom(visit: Visit) -> Response:
    visit.demand(RECORD_CHOICE)
    refuse_parameters(visit.request, "This page takes no parameters: fill in its form.", "office.parameters")
    return visit.shown("call", title="Whose sharing choice?", fields={})


async def _find(visit: Visit) -> Response:
    visit.demand(RECORD_CHOICE)
    fields = await visit.form()
    try:
        async with visit.refusals():
            found = Person.of(fields)
            await visit.demand_use(Use.PERSON_SEARCH)
        checked = await visit.parts.identities.go_together(
            visit.caller, found.nhs_number, found.birth_date, visit.request_id, door=visit.door
        )
    except NumberReplaced as error:
        return visit.shown(
            "call",
            status=error.status,
            title="Whose sharing choice?",
            fields=fields,
            error=error,
            told=_replaced(error),
        )
    except (BadRequest, NotFound) as error:
        return visit.shown("call", status=error.status, title="Whose sharing choice?", fields=fields, error=error)
    return sent_to(f"{CALLS}/{visit.seal(found._replace(is_checked=checked).about)}")


def _replaced(error: NumberReplaced) -> str:
    """What to do, without words for callers of the API."""
    current = f"The current one is {grouped(error.current)}. " if error.current else ""
    return f"The national register has replaced this NHS number by another. {current}Check it with them, and use that."


async def _person(visit: Visit) -> Response:
    return await _with_history(visit, Person.opened(visit.opened()), {})


async def _with_history(
    visit: Visit, person: Person, fields: dict[str, str], error: BadRequest | None = None
) -> Response:
    """The person's page; with what is wrong with the form that was sent."""
    history = await _history(visit, person)
    return visit.shown(
        "person",
        status=error.status if error else 200,
        title="Sharing choice",
        person=person,
        history=history,
        now=history[0] if history else None,
        words=words,
        fields=fields,
        error=error,
        once=once.new(),
        offered={"choice": CHOICES, "statedBy": STATED_BY, "channel": CHANNELS, "identifiedBy": IDENTIFIED_BY},
    )


async def _record(visit: Visit) -> Response:
    person = Person.opened(visit.opened())
    fields = await visit.form()
    try:
        async with visit.refusals(person.nhs_number):
            visit.demand(RECORD_CHOICE)
            choice = chosen(fields, "choice", CHOICES, "Choose what they want.")
            stated_by = chosen(fields, "statedBy", STATED_BY, "Choose who told you.")
            channel = chosen(fields, "channel", CHANNELS, "Choose how they told you.")
            identified = chosen(fields, "identifiedBy", IDENTIFIED_BY, "Choose how you made sure who they are.")
            proxy = _proxy(stated_by, fields)
            await visit.spend(fields)
        await visit.parts.sharing.record(
            visit.caller,
            person.nhs_number,
            choice,
            stated_by,
            channel,
            visit.request_id,
            reason=fields.get("reason", ""),
            proxy=proxy,
            identified_by=identified,
            door=visit.door,
        )
    except BadRequest as error:
        return await _with_history(visit, person, fields, error)
    return sent_to(f"{visit.request.url.path}/recorded")


async def _recorded(visit: Visit) -> Response:
    person = Person.opened(visit.opened())
    history = await _history(visit, person)
    if not history:
        return sent_to(visit.request.url.path.removesuffix("/recorded"))
    return visit.shown(
        "recorded",
        title="Recorded",
        person=person,
        now=history[0],
        words=words,
        back=visit.request.url.path.removesuffix("/recorded"),
    )


async def _history(visit: Visit, person: Person) -> list[dict[str, object]]:
    """What was chosen, newest first, with the texts opened."""
    found = await visit.parts.sharing.history(visit.caller, person.nhs_number, visit.request_id, door=visit.door)
    return [_told(visit, each) for each in reversed(found)]


def _told(visit: Visit, choice: SharingChoice) -> dict[str, object]:
    sealer = visit.parts.sealer
    return {
        "choice": choice.choice,
        "stated_by": choice.stated_by,
        "channel": choice.channel,
        "identified_by": choice.identified_by,
        "at": choice.recorded_at,
        "by": choice.recorded_by_name,
        "organisation": choice.organisation,
        "reason": sealer.open_text(choice.reason, choice.id),
        "proxy": sealer.open_text(choice.proxy, proxy_of(choice.id)),
    }


def _proxy(stated_by: StatedBy, fields: dict[str, str]) -> str:
    """Who spoke for the patient, where somebody did. The field is there without scripts too, and stays empty else."""
    said = fields.get("proxy", "").strip()
    if stated_by is StatedBy.PATIENT and said:
        raise BadRequest(
            "You named somebody who speaks for the patient. Choose them above as the one who told you, or clear the "
            "name.",
            rule="form.proxy",
            expression="proxy",
        )
    if stated_by is not StatedBy.PATIENT and not said:
        raise BadRequest(
            "Write who speaks for the patient, and by what right.", rule="form.incomplete", expression="proxy"
        )
    return said

"""`/patients`: staff who signed in by themselves find a patient, ask them, and open what is held about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from fastapi import APIRouter, Request, Response

from gateway.api import opening
from gateway.api.door import parts_of, template
from gateway.api.filled import number_and_birth_date, person
from gateway.api.http import request_id
from gateway.api.pages import SignedIn, around, may, refuse_parameters, sent_to, shown
from gateway.api.staff import Misfilled, admitted, for_staff, sent
from gateway.api.subject import PATIENTS, subject_named, subject_of
from gateway.choice.may import OPEN_RECORD
from gateway.errors import NobodyAnswered
from gateway.register.find import FIND_PERSON, Finding
from gateway.search.person import Person
from gateway.shown import Rendered
from gateway.web import words
from gateway.web.frame import part

router = APIRouter(include_in_schema=False)
BY_NAME: Final = f"{PATIENTS}/by-name"
_NAMED: Final = PATIENTS + "/{name}"
_COULD_ADD: Final = {"gender": "the gender", "address-postalcode": "the postcode"}


@router.get(PATIENTS)
@for_staff
async def ask_number(request: Request, who: SignedIn) -> Response:
    """The form for a patient whose NHS number is known."""
    async with admitted(request, who, action=OPEN_RECORD):
        refuse_parameters(request, "This page takes no parameters: type into its form.", "viewer.parameters")
    return _by_number(request, who)


@router.post(PATIENTS)
@for_staff
async def take_number(request: Request, who: SignedIn) -> Response:
    """On to the record of the patient with that number and birth date."""
    fields = await sent(request, who)
    try:
        async with admitted(request, who, action=OPEN_RECORD):
            number, born = number_and_birth_date(fields)
    except Misfilled as error:
        return _by_number(request, who, fields, error)
    return sent_to(subject_of(request, who, number, born).record)


@router.get(BY_NAME)
@for_staff
async def ask_name(request: Request, who: SignedIn) -> Response:
    """The form for a patient whose NHS number isn't known."""
    async with admitted(request, who, action=FIND_PERSON):
        refuse_parameters(request, "This page takes no parameters: type into its form.", "viewer.parameters")
    return _by_name(request, who)


@router.post(BY_NAME)
@for_staff
async def take_name(request: Request, who: SignedIn) -> Response:
    """The one person who fits, to be confirmed; or why nobody is shown."""
    fields = await sent(request, who)
    try:
        async with admitted(request, who, action=FIND_PERSON):
            sought = person(fields)
    except Misfilled as error:
        return _by_name(request, who, fields, error)
    seeking = _Seeking(template(request), request_id(request), sought)
    try:
        await parts_of(request).people.find(who.presented, seeking)
    except NobodyAnswered as error:
        return _by_name(request, who, fields, nobody=error.told, status=error.status)
    if seeking.found is None or seeking.found.patient is None:
        return _by_name(request, who, fields, nobody=_nobody(seeking))
    patient = seeking.found.patient
    subject = subject_of(request, who, str(patient["id"]), str(patient["birthDate"]))
    return shown(around(request, who), "found.jinja", title="Is this the patient?", subject=subject, who=seeking.who,
                 register=seeking.found.register.name, again=BY_NAME)  # fmt: skip


@router.get(_NAMED)
@for_staff
async def record(request: Request, who: SignedIn) -> Response:
    """The record, or the question whether the patient agrees."""
    refuse_parameters(request, "This page takes no parameters.", "viewer.parameters")
    return await opening.show(request, who, await subject_named(request, who))


@router.get(_NAMED + "/permission")
@for_staff
async def ask_permission(request: Request, who: SignedIn) -> Response:
    """The question whether the patient agrees, asked again."""
    return await opening.ask(request, who, await subject_named(request, who))


@router.post(_NAMED + "/permission")
@for_staff
async def take_permission(request: Request, who: SignedIn) -> Response:
    """What the patient said."""
    return await opening.answer(request, who, await subject_named(request, who))


@router.get(_NAMED + "/best-interests")
@for_staff
async def interrupt(request: Request, who: SignedIn) -> Response:
    """What a look without the patient's word means, and why it is needed."""
    return await opening.interrupt(request, who, await subject_named(request, who))


@router.post(_NAMED + "/best-interests")
@for_staff
async def take_best_interests(request: Request, who: SignedIn) -> Response:
    """On to the record, with the privacy officer's case."""
    return await opening.act(request, who, await subject_named(request, who))


@dataclass(slots=True)
class _Seeking:
    """The question of the form. `found` and `who`, the person as they stand in the page, are there once it's asked."""

    door: str
    request_id: str
    sought: Person = field(repr=False)
    found: Finding | None = None
    who: str = field(default="", repr=False)

    def person(self) -> Person:
        """Checked already, with the form."""
        return self.sought

    def answer(self, finding: Finding) -> Rendered:
        """One person or none: their part of the page."""
        self.found = finding
        if finding.patient is None:
            return Rendered(b"", {}, [], 0)
        number = words.grouped(str(finding.patient["id"]))
        self.who = part("found-person.jinja", lines=words.identity_of(finding.patient), number=number)
        return Rendered(self.who.encode(), {}, [], 1, [self.who.encode()])


def _nobody(seeking: _Seeking) -> str:
    """Whether several fit or none: nobody is guessed, and nobody is listed."""
    if seeking.found is not None and seeking.found.too_many:
        add = " and ".join(_COULD_ADD[name] for name in seeking.sought.could_add)
        more = f"Add {add}" if add else "Ask for another proof of who the patient is, such as the NHS number"
        return f"Several people fit. Nobody guesses which of them it is, so none is shown. {more}."
    return (
        "Nobody fits exactly who can be shown here. This does not mean that there is no such person: people whose "
        "details are restricted, and people who opted out of Connect Care, are never listed. Check the spelling of the "
        "names and the date of birth."
    )


def _by_number(
    request: Request, who: SignedIn, fields: Mapping[str, str] | None = None, error: Misfilled | None = None
) -> Response:
    by_name = BY_NAME if may(parts_of(request), FIND_PERSON, who.caller) and parts_of(request).people.register else ""
    return _form(request, who, "find.jinja", "Find a patient", fields, error, action=PATIENTS, other=by_name)


def _by_name(
    request: Request,
    who: SignedIn,
    fields: Mapping[str, str] | None = None,
    error: Misfilled | None = None,
    *,
    nobody: str = "",
    status: int = 200,
) -> Response:
    title = "Find a patient by name"
    return _form(request, who, "find-by-name.jinja", title, fields, error, action=BY_NAME, other=PATIENTS,
                 nobody=nobody, status=status)  # fmt: skip


def _form(
    request: Request,
    who: SignedIn,
    name: str,
    title: str,
    fields: Mapping[str, str] | None,
    error: Misfilled | None,
    **said: Any,
) -> Response:
    """The form, with what was typed and what is wrong with it."""
    errors = dict(error.errors) if error else {}
    if error:
        said["status"] = error.status
    said |= {"title": title, "typed": fields or {}, "errors": errors, "csrf": who.session.csrf}
    return shown(around(request, who), name, **said)

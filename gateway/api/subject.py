"""Whose record a page is about. An address never names a patient: it holds a text that is sealed for one session."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from fastapi import Request

from gateway.api.door import parts_of
from gateway.api.pages import SignedIn
from gateway.api.staff import admitted
from gateway.errors import Refusal
from gateway.sealed import Unsealable

PATIENTS: Final = "/patients"


@dataclass(frozen=True, slots=True)
class Subject:
    """One patient, and the addresses of their pages in this session: the record, the question whether they agree, and
    the interruption where they can't answer. `find`: where another one is found; "" in a launched session."""

    nhs_number: str = field(repr=False)
    birth_date: str | None = field(repr=False)
    record: str
    permission: str
    best_interests: str
    find: str = PATIENTS
    needs_banner: bool = True

    @property
    def standing(self) -> str:
        """Where its open page asks whether the permission still holds on which it stands."""
        return f"{self.record}/standing"


def subject_of(request: Request, who: SignedIn, nhs_number: str, birth_date: str) -> Subject:
    """The one who was found."""
    state = {"n": nhs_number, "b": birth_date}
    return _at(parts_of(request).sealer.seal_cursor(state, _bound(who)), nhs_number, birth_date)


async def subject_named(request: Request, who: SignedIn) -> Subject:
    """The one whom the address names. Raises Refusal, with its row, where it is another session's, or nobody's."""
    name = request.path_params["name"]
    try:
        return subject_sealed(request, who, name)
    except Unsealable:
        async with admitted(request, who):
            raise Refusal(
                "This address is of another sign-in, so nobody's record is shown here. Find the patient again.",
                rule="viewer.another-sign-in",
            ) from None


def subject_sealed(request: Request, who: SignedIn, name: str) -> Subject:
    """The same, without a row. Raises Unsealable."""
    state = parts_of(request).sealer.open_cursor(name, _bound(who))
    return _at(name, state["n"], state["b"])


def _at(name: str, nhs_number: str, birth_date: str) -> Subject:
    record = f"{PATIENTS}/{name}"
    return Subject(nhs_number, birth_date, record, f"{record}/permission", f"{record}/best-interests")


def _bound(who: SignedIn) -> str:
    return f"patient's page in {who.resumed.id}"

"""The UK contextual launch: a JWT that a registered system signed for this door, five minutes long at most, used once.

Its words are those of the launch by address that systems in the UK have, `patient`, `birthdate`, `location` and
`practitioner`: here nobody can type them, no log of addresses keeps them, and they are worth nothing a second time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from connectors.sdk.model import ODS_SYSTEM
from gateway.caller.claims import choose_profile, read_person
from gateway.caller.keys import Keys
from gateway.caller.presented import Presented
from gateway.caller.tokens import VerifiedToken
from gateway.launch.entered import Burning, Entered, use_up_statement
from gateway.launch.patient import FHIR_ID, NoNhsNumber, birth_date_of, nhs_number_of_token
from gateway.launch.people import People
from gateway.launch.refusals import malformed, no_patient, not_believed, unregistered
from gateway.launch.session import Session, new_csrf
from gateway.launch.settings import ContextSettings
from gateway.launch.statement import Rules, issuer_of, short_text, verified

PATH: Final = "/launch/context"
TYPE: Final = "launch+jwt"
SECONDS: Final = 300.0
_JTI: Final = "launch-context"


class Contexts:
    """The systems that may launch so. `seconds` tells the time since 1970."""

    def __init__(
        self,
        systems: Iterable[ContextSettings],
        people: People,
        keys: Keys,
        marks: Burning,
        *,
        public_url: str,
        seconds: Callable[[], float],
    ) -> None:
        self._systems = {one.issuer: one for one in systems}
        self._people = people
        self._keys = keys
        self._marks = marks
        self._audience = public_url.rstrip("/") + PATH
        self._seconds = seconds

    async def entered(self, token: str) -> Entered:
        """Who is launched by a signed JWT, and for which patient."""
        by = self._systems.get(issuer_of(token))
        if by is None:
            raise unregistered()
        types = frozenset({TYPE, f"application/{TYPE}"})
        rules = Rules(self._audience, types, SECONDS, once=True)
        statement = await verified(token, by, rules, self._keys, self._seconds())
        claims = statement.claims
        person = self._people.stated(by, statement, claims, client=by.issuer, token_id=short_text(claims, "jti"))
        _check_location(claims, person)
        try:
            nhs_number = nhs_number_of_token(claims.get("patient"))
            birth_date = birth_date_of(claims.get("patient_birthdate"))
        except NoNhsNumber as error:
            raise no_patient(str(error)) from error
        encounter = _encounter(claims.get("encounter"))
        # Only now: what can't be used at all must not use it up for its person.
        await use_up_statement(self._marks, _JTI, statement)
        session = Session(
            system=by.name,
            counts_as=by.counts_as,
            registration=by.registration,
            nhs_number=nhs_number,
            csrf=new_csrf(),
            claims=dict(person.claims),
            encounter=encounter,
            needs_banner=claims.get("need_patient_banner") is not False,
            birth_date=birth_date,
        )
        return Entered(session, Presented.stated(person))


def _encounter(value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str) or not FHIR_ID.fullmatch(value):
        raise malformed("encounter is not the id of a resource")
    return value


def _check_location(claims: Mapping[str, Any], person: VerifiedToken) -> None:
    """Where the person is at work, where it is said, is where the role that they act in is."""
    if "location" not in claims:
        return
    organisation = choose_profile(read_person(person)).organisation
    if claims["location"] != f"{ODS_SYSTEM}|{organisation}":
        raise not_believed("launch.location", "location is not the organisation of the person's role")

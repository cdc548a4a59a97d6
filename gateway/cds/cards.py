"""From an EHR's call to a card: the same pipeline as every look, with an earlier end.

    1 the EHR's JWT is verified, and burnt: one call, once (CDS Hooks 2.0, "Trusting CDS Clients")
    2 the user is whom the EHR names, of its own organisations; the patient is the one of the chart, by NHS number
    3 the record's eleven steps, for demographics and allergies alone; sources have until shortly before the end
    4 a card of what was known by then

Nothing is told before the patient's permission that isn't the same for every patient: which organisation holds a
record is itself something about a patient, and so is that none does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import msgspec

from connectors.sdk.model import Section
from connectors.sdk.organisations import Organisations, OrganisationType, Stage
from gateway.allergies import is_no_known_allergy
from gateway.breaker import BreakerState
from gateway.caller.credentials import bearer_token
from gateway.caller.keys import Keys
from gateway.caller.model import Caller
from gateway.caller.presented import Presented
from gateway.cds import card as cards
from gateway.cds.asked import PatientViewCall
from gateway.errors import GatewayError, NoPermission, NotSignedIn, NumberReplaced, OptedOut, TooMany
from gateway.launch.entered import Burning, use_up_statement
from gateway.launch.people import People
from gateway.launch.refusals import not_believed
from gateway.launch.settings import HookSettings
from gateway.launch.statement import Rules, Statement, issuer_of, verified
from gateway.locate import Look
from gateway.shown import Rendered, Shown
from gateway.sources import SourceState
from gateway.web.words import line_of

SERVICE: Final = "connect-care-patient-view"
PATH: Final = f"/cds-services/{SERVICE}"
JWT_SECONDS: Final = 300.0
RESERVE: Final = 0.15
"""Seconds kept from the sources: for what a connector may overrun, for merging and policy, and for the journal."""
_JTI: Final = "cds-hooks"
Json = dict[str, Any]
_SECTIONS: Final = frozenset({Section.DEMOGRAPHICS, Section.ALLERGIES})


class Opening(Protocol):
    """The pipeline, as a card needs it."""

    async def open(self, presented: Presented, question: Any) -> Rendered: ...


class Cards:
    """Answers registered EHRs. `seconds` is a card's whole time, `tells` whether policy lets a caller know the state of
    the sources, `states` what this worker knows of it; `opens`: some EHR may launch the viewer."""

    def __init__(
        self,
        hooks: Iterable[HookSettings],
        people: People,
        keys: Keys,
        marks: Burning,
        records: Opening,
        organisations: Organisations,
        *,
        states: Callable[[], Mapping[str, SourceState]],
        tells: Callable[[Caller], bool],
        public_url: str,
        opens: bool,
        seconds: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._hooks = {one.issuer: one for one in hooks}
        self._people = people
        self._keys = keys
        self._marks = marks
        self._records = records
        self._organisations = organisations
        self._states = states
        self._tells = tells
        self._base = public_url.rstrip("/")
        self._opens = opens
        self.seconds = seconds
        self._clock = clock

    async def client(self, authorization: Sequence[str]) -> Client:
        """Whose call it is, from all its Authorization headers. The JWT is used up by it.

        Raises NotSignedIn, or SignInUnavailable where the EHR's keys can't be had.
        """
        token = bearer_token(authorization)
        by = self._hooks.get(issuer_of(token))
        if by is None:
            raise not_believed("cds.unregistered", "iss is no EHR that is registered for cards")
        rules = Rules(self._base + PATH, frozenset({"jwt"}), JWT_SECONDS, once=True, pinned={"jku": by.jwks_uri})
        statement = await verified(token, by, rules, self._keys, self._clock())
        await use_up_statement(self._marks, _JTI, statement)
        return Client(by, statement)

    async def patient_view(
        self, client: Client, call: PatientViewCall, door: str, request_id: str, ends: float
    ) -> Json:
        """The card. `ends` is the loop time at which it must be there.

        Raises BadRequest or NotPrefetched for a call that can't be understood, NotSignedIn where the user isn't one of
        the EHR's own, TooMany.
        """
        links = self.links(call)
        register = self._organisations.register()
        asked = _Card(door, request_id, call.nhs_number, ends - RESERVE, links, register.ods if register else None)
        person = self._people.stated(
            client.settings,
            client.statement,
            call.user(),
            client=client.settings.issuer,
            token_id=client.token_id,
            own_words=True,
        )
        try:
            await self._records.open(Presented.stated(person), asked)
        except NoPermission:
            return self._before_permission(links, asked)
        except OptedOut:
            return cards.opted_out(links)
        except (NotSignedIn, TooMany):
            raise
        except NumberReplaced:
            return cards.not_known(links, "The national register has replaced this NHS number by another. Check it.")
        except GatewayError as error:
            return cards.not_known(links, error.told)
        return asked.made

    def links(self, call: PatientViewCall) -> cards.Links:
        """Where the card of a call leads."""
        return cards.Links(self._base, f"{self._base}/launch" if self._opens else "", str(call.hookInstance))

    def _before_permission(self, links: cards.Links, asked: _Card) -> Json:
        if asked.caller is None or not self._tells(asked.caller):
            return cards.permission_needed(links, (), ())
        live = [one for one in self._organisations.listed() if one.holds_records and one.stage is Stage.LIVE]
        care = [
            one for one in live if one.type not in (OrganisationType.NATIONAL_SERVICE, OrganisationType.GP_PRACTICE)
        ]
        states = self._states()
        silent = [one.name for one in care if one.ods in states and states[one.ods].breaker.state is BreakerState.OPEN]
        practices = any(one.type is OrganisationType.GP_PRACTICE for one in live) or self._organisations.groups()
        return cards.permission_needed(
            links, [*(one.name for one in care), *(["the patient's GP practice"] if practices else [])], silent
        )


@dataclass(frozen=True, slots=True)
class Client:
    """A registered EHR whose call was verified."""

    settings: HookSettings
    statement: Statement

    @property
    def token_id(self) -> str:
        """What the audit names the call by."""
        return str(self.statement.claims["jti"])


@dataclass(slots=True)
class _Card:
    """The question of a card. `until` is when the sources must have answered (loop time)."""

    door: str
    request_id: str
    nhs_number: str
    until: float
    links: cards.Links
    register: str | None
    caller: Caller | None = field(default=None, init=False)
    made: Json = field(default_factory=dict, init=False)

    def look(self, caller: Caller) -> Look:
        self.caller = caller
        return Look(
            nhs_number=self.nhs_number,
            door=self.door,
            request_id=self.request_id,
            sections=_SECTIONS,
            until=self.until,
        )

    def search(self, shown: Shown) -> Rendered:
        """What leaves of the record are its allergies, one line each."""
        names = {line.source: line.name for line in shown.manifest.lines}
        items = [one for one in shown.items if one.section is Section.ALLERGIES and not is_no_known_allergy(one)]
        lines = [
            f"- {cards.escaped(line_of(one.resource))} ({cards.escaped(names.get(one.source, one.source))})"
            for one in items
        ]
        self.made = cards.of_record(self.links, shown.manifest, lines, register=self.register)
        return Rendered(msgspec.json.encode(self.made), {}, items, sent=[line.encode() for line in lines])

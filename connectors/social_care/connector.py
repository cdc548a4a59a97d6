"""Asks a council's facade: the person by NHS number, then their cases and their contacts, both at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

from connectors.sdk import shape
from connectors.sdk.auth import authorizer, tls_context
from connectors.sdk.bundle import Entry
from connectors.sdk.connector import Connector, Setup
from connectors.sdk.errors import WrongContent
from connectors.sdk.http import AiohttpTransport, Limits, SourceClient
from connectors.sdk.model import Answer, Ask, Gap, Item, Outcome, Section, SourceWarning, Traced
from connectors.social_care.account import Account, Map
from connectors.social_care.asking import Found, Question
from connectors.social_care.care_team import care_team
from connectors.social_care.codes import SHIPPED, Codes
from connectors.social_care.contacts import contact
from connectors.social_care.identity import Identity
from connectors.social_care.kept import Mapped
from connectors.social_care.person import is_verified, may_be_shown, person, verification
from connectors.social_care.settings import Settings
from connectors.social_care.supporting import SUPPORTING, Teams

TOLD_UNVERIFIED: Final = (
    "holds a person with this NHS number but has not verified that the number is theirs, so nothing of it is shown"
)
WARNING_UNVERIFIED: Final = (
    "The council has not verified this NHS number against the national register. "
    "Compare name, birth date and address before you rely on what it holds."
)
_Translate = Callable[[Entry, Teams, Codes], Mapped]
_SECTIONS: Final[tuple[tuple[Section, str, _Translate], ...]] = (
    (Section.CARE_TEAM, "EpisodeOfCare", care_team),
    (Section.CONTACTS, "Encounter", contact),
)


def connect(setup: Setup) -> Connector:
    """The connector for one council. Raises ConfigurationError where a secret or its table of codes can't be read."""
    settings: Settings = setup.settings
    codes = Codes.load(SHIPPED, settings.codes_file)
    shape.type_for("EpisodeOfCare")  # made now, rather than while the first person is looked up
    tls = tls_context(settings.tls, settings.auth)
    limits = Limits()
    client = SourceClient(
        setup.organisation.address or "",
        setup.transport or AiohttpTransport(limits, tls),
        limits=limits,
        authorize=authorizer(settings.auth, transport=setup.transport, tls=tls),
    )
    return SocialCare(setup.organisation.ods, settings, codes, client)


class SocialCare:
    """One council's social care system."""

    def __init__(self, source: str, settings: Settings, codes: Codes, client: SourceClient) -> None:
        self._source = source
        self._settings = settings
        self._codes = codes
        self._client = client

    async def ask(self, ask: Ask) -> Answer:
        """See Connector."""
        question = Question(self._client, ask, self._settings.cap)
        found = await question.person()
        identity = Identity(ask.nhs_number, question.base_url, str(found.resource["id"]))
        statuses = verification(found.resource, ask.nhs_number)
        if not statuses or identity.is_somebody_else(found):
            return self._of_somebody_else(found, ask, question.calls)
        if not may_be_shown(statuses, self._settings.unverified_number):
            return self._held_back(found, ask, question.calls)
        account = Account(self._source, identity)
        account.take(found, Section.DEMOGRAPHICS, self._person)
        if not account.answer.items:
            raise WrongContent("the Patient can't be carried over truthfully")
        if not is_verified(statuses):
            account.answer.warnings.append(_warning(ask.sections))
        await self._ask_sections(question, ask.sections, str(found.resource["id"]), account)
        return account.closed(question.calls)

    async def aclose(self) -> None:
        """See Connector."""
        await self._client.aclose()

    async def _ask_sections(
        self, question: Question, sections: frozenset[Section], person_id: str, account: Account
    ) -> None:
        """Only what was asked for is asked for; a section that councils don't hold is a gap, never an empty answer."""
        calls: dict[Section, Callable[[str], Coroutine[Any, Any, Found]]] = {
            Section.CARE_TEAM: question.cases,
            Section.CONTACTS: question.contacts,
        }
        asked = [one for one in _SECTIONS if one[0] in sections]
        results = await asyncio.gather(*(calls[section](person_id) for section, _, _ in asked))
        for (section, kind, translate), found in zip(asked, results, strict=True):
            self._take(found, section, kind, translate, account)
        for section in sorted(sections - calls.keys() - {Section.DEMOGRAPHICS}):
            account.gap(section, Gap.NOT_ASKED, f"{section}: a council holds none; take it out of its sections")

    def _take(self, found: Found, section: Section, kind: str, translate: _Translate, account: Account) -> None:
        if found.gap is not None:
            account.gap(section, found.gap, found.detail)
        account.unreadable(found.held_back.elements())
        teams = Teams(found.entries, self._codes)
        for entry in account.hold_back_versions(found.entries, kind, section):
            account.take(entry, section, self._mapping(entry, kind, translate, teams))

    def _mapping(self, entry: Entry, kind: str, translate: _Translate, teams: Teams) -> Map | None:
        """What makes an item of this entry; None for a type that the contract doesn't name in this answer."""
        came = str(entry.resource["resourceType"])
        if came == kind:
            return lambda one: translate(one, teams, self._codes)
        supporting = SUPPORTING.get(came)
        return (lambda one: supporting(one, self._codes)) if supporting else None

    def _person(self, entry: Entry) -> Mapped:
        return person(entry, self._settings.person_number_system)

    def _of_somebody_else(self, found: Entry, ask: Ask, calls: int) -> Answer:
        """Somebody else's id must not be searched with. The guard sees the Patient as it came, and alarms."""
        answer = Answer(self._source, Outcome.PARTIAL, told="answered in part", calls=calls)
        answer.items = [Item(self._source, found.resource, Section.DEMOGRAPHICS, str(found.resource["id"]))]
        answer.gaps = dict.fromkeys(sorted(ask.sections), Gap.IDENTITY_ALARM)
        answer.detail = "Patient: it isn't the one who was asked for"
        answer.traced = [Traced(answer.items[0].key, (), "handed as it came to the check of whose it is")]
        return answer

    def _held_back(self, found: Entry, ask: Ask, calls: int) -> Answer:
        answer = Answer(self._source, Outcome.FAILED, told=TOLD_UNVERIFIED, calls=calls)
        answer.gaps = dict.fromkeys(sorted(ask.sections), Gap.HELD_BACK)
        answer.detail = "Patient: the NHS number is not verified"
        answer.traced = [Traced(f"Patient/{found.resource['id']}", (), "its NHS number is not verified")]
        return answer


def _warning(sections: frozenset[Section]) -> SourceWarning:
    """Said of the demographics; where those weren't asked for, of another section that was: it must be seen."""
    of = Section.DEMOGRAPHICS if Section.DEMOGRAPHICS in sections else min(sections, default=None)
    return SourceWarning(of, "nhs-number-not-verified", WARNING_UNVERIFIED)

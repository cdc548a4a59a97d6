"""Patients sign in to their own pages, at an OpenID provider that proves who they are (NHS login, for one).

    begin    the browser goes to the provider
    finish   the ID token that came for the code is verified, with its nonce
             what it leaves out is asked of the userinfo endpoint, which must speak of the same person
             the identity was proven to the level that the settings name, and the person is old enough
    caller   on each page after: who it is, as long as the provider is registered

Source: NHS login, "Scopes and claims" (`nhs_number`, `birthdate`, `identity_proofing_level`); P9 is its level for
access to health records. At a lower one anybody could have typed the number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any, Final
from zoneinfo import ZoneInfo

from connectors.sdk.http import Transport
from connectors.sdk.nhs_number import is_nhs_number
from gateway.caller.model import Caller
from gateway.caller.patients import SignedIn, known_patient, patient_caller
from gateway.caller.refusals import CallerRefused
from gateway.errors import NotSignedIn
from gateway.launch.code_flow import CodeFlow
from gateway.launch.naming import said_at_userinfo
from gateway.launch.pending import Pending
from gateway.launch.provider import Provider, Tokens
from gateway.launch.refusals import not_believed, not_offered, unclear_patient
from gateway.launch.session import PatientSession, new_csrf
from gateway.launch.settings import PatientSignInSettings
from gateway.launch.sign_in import ANEW, DISCOVERY, Elsewhere, Offered, elsewhere
from gateway.launch.statement import Statement
from gateway.sealed import Sealer
from gateway.store.moments import Clock

CALLBACK: Final = "/my/sign-in/callback"
_NEEDED: Final = ("nhs_number", "birthdate", "identity_proofing_level")
_ONE_FACTOR: Final = "Cp"
_LOCAL: Final = ZoneInfo("Europe/London")
_NOT_PROVEN: Final = (
    "You have not yet proved who you are to the service that you signed in with, so we cannot show you anything. Go to "
    "that service and prove who you are, for example with a photo of your passport. Then sign in here again. Or ask "
    "your GP practice."
)
_TOO_YOUNG: Final = (
    "You are too young to use these pages by yourself. Ask a parent or carer to talk to your GP practice with you."
)


class UnclearPatient(CallerRefused):
    """Somebody proved who they are, and the provider doesn't tell in a way that can be used who that is: a row of the
    account, about no patient."""

    status = 401
    code = "login"


class PatientSignIns:
    """Every provider at which patients sign in."""

    def __init__(
        self,
        providers: Iterable[PatientSignInSettings],
        codes: CodeFlow,
        sealer: Sealer,
        clock: Clock,
        *,
        public_url: str,
        transport: Transport,
    ) -> None:
        self._providers = {
            one.tag: (one, Provider(one, one.issuer.rstrip("/") + DISCOVERY, transport)) for one in providers
        }
        self._registered = {one.registration: one for one, _ in self._providers.values()}
        self._codes = codes
        self._sealer = sealer
        self._clock = clock
        self._returns_to = public_url.rstrip("/") + CALLBACK

    @property
    def offered(self) -> tuple[Offered, ...]:
        """In the order of the settings."""
        return tuple(Offered(tag, settings.name) for tag, (settings, _) in self._providers.items())

    async def begin(self, tag: str) -> tuple[str, str]:
        """(where the browser goes, what its cookie holds). Raises NotFound for a provider that isn't there,
        EhrUnavailable.

        Whoever sits at a family's computer may not be who signed in there last: the provider always asks who it is.
        Source: NHS login, "Single Sign On" (`prompt=login`), "Session management" (it offers no sign-out).
        """
        _, provider = self._of(tag)
        return await self._codes.begin(provider, tag, self._returns_to, **ANEW)

    async def elsewhere(self, session: PatientSession) -> Elsewhere | None:
        """See `gateway.launch.sign_in.elsewhere`."""
        return await elsewhere(self._providers.values(), session.registration)

    async def finish(self, answer: Mapping[str, str], pending: Pending) -> PatientSession:
        """Who comes back. Raises NotSignedIn, Refusal, EhrUnavailable; CallerRefused for somebody whose identity isn't
        proven, or who is too young."""
        settings, provider = self._of(pending.asked)
        code = await self._codes.code(answer, provider)
        tokens = Tokens.of(await provider.exchange(code, pending.verifier, self._returns_to))
        id_token = await self._codes.said(tokens.id_token, settings, pending)
        return self._session(settings, id_token, await _said(provider, tokens, id_token))

    def caller(self, session: PatientSession) -> Caller:
        """The patient of a session. Raises NotSignedIn where their provider isn't registered any more, or has to prove
        more of them."""
        settings = self._registered.get(session.registration)
        if settings is None:
            raise not_believed("session.registration", "the provider that began the session was taken away")
        if session.proofing != settings.proofing:
            raise not_believed("session.registration", "the level of proof that is asked for was changed")
        return patient_caller(
            _signed_in(settings, session.account, session.proofing, session.token_id), session.nhs_number
        )

    def _session(self, settings: PatientSignInSettings, token: Statement, said: Mapping[str, Any]) -> PatientSession:
        account = self._sealer.question_tag(f"patient account {settings.issuer} {token.claims['sub']}")
        proofing = _short(said, "identity_proofing_level")
        token_id = f"sign-in-{self._sealer.question_tag(token.claims['nonce'])[:16]}"
        known = known_patient(_signed_in(settings, account, proofing, token_id))
        if proofing != settings.proofing or not _is_of(settings.proofing, token):
            raise CallerRefused(_NOT_PROVEN, rule="signin.not-proven", known=known)
        try:
            nhs_number, age = _identity(said, self._clock().astimezone(_LOCAL).date())
        except NotSignedIn as error:
            raise UnclearPatient(error.told, rule=error.rule, known=known, detail=error.detail) from error
        if age < settings.youngest:
            raise CallerRefused(_TOO_YOUNG, rule="signin.too-young", known=known)
        return PatientSession(
            system=settings.name,
            registration=settings.registration,
            nhs_number=nhs_number,
            account=account,
            proofing=proofing,
            token_id=token_id,
            csrf=new_csrf(),
        )

    def _of(self, tag: str) -> tuple[PatientSignInSettings, Provider]:
        if tag not in self._providers:
            raise not_offered()
        return self._providers[tag]


def _signed_in(settings: PatientSignInSettings, account: str, proofing: str, token_id: str) -> SignedIn:
    return SignedIn(
        issuer=settings.issuer, client_id=settings.client_id, account=account, proofing=proofing, token_id=token_id
    )


async def _said(provider: Provider, tokens: Tokens, id_token: Statement) -> Mapping[str, Any]:
    """The claims that are needed: the ID token's, and where it lacks one, userinfo's too, which may not differ."""
    stated = {name: id_token.claims[name] for name in _NEEDED if name in id_token.claims}
    if len(stated) == len(_NEEDED):
        return stated
    asked = await said_at_userinfo(provider, tokens, id_token)
    if any(asked.get(name, value) != value for name, value in stated.items()):
        raise unclear_patient("the ID token and userinfo differ")
    return {**asked, **stated}


def _is_of(proofing: str, id_token: Statement) -> bool:
    """Whether this very sign-in is of that level, where the provider says so: `vot` (RFC 8485), such as `P9.Cp.Cd`.

    `identity_proofing_level` is of the account. Whoever holds the browser can ask the provider for less (`vtr`), such
    as for a password alone (`Cp`): that opens nothing here.
    """
    if "vot" not in id_token.claims:
        return True
    components = set(_short(id_token.claims, "vot").split("."))
    return proofing in components and bool(components - {proofing, _ONE_FACTOR})


def _identity(said: Mapping[str, Any], today: date) -> tuple[str, int]:
    """(NHS number, age). Raises NotSignedIn."""
    nhs_number = _short(said, "nhs_number")
    if not is_nhs_number(nhs_number):
        raise unclear_patient("nhs_number is no NHS number")
    return nhs_number, _age(_short(said, "birthdate"), today)


def _short(said: Mapping[str, Any], name: str) -> str:
    value = said.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= 32 or not value.isascii() or not value.isprintable():
        raise unclear_patient(f"{name} is missing, or isn't a short text")
    return value


def _age(birth_date: str, today: date) -> int:
    """In whole years. Raises NotSignedIn for what is no date, or is yet to come."""
    try:
        born = date.fromisoformat(birth_date)
    except ValueError as error:
        raise unclear_patient("birthdate is no date") from error
    if born.isoformat() != birth_date or born > today:
        raise unclear_patient("birthdate is written in another way, or is yet to come")
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day))

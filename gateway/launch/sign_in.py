"""Signing in to the pages by oneself, at an OpenID provider: no system launched, and no patient is in context yet.

The tokens stay here, sealed in the session; the browser holds a name for it and no more (a backend for the frontend:
OAuth 2.0 for Browser-Based Applications, section 6.1).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from connectors.sdk.http import Transport
from gateway.caller.presented import Presented
from gateway.launch.code_flow import CodeFlow
from gateway.launch.entered import Entered
from gateway.launch.naming import Naming
from gateway.launch.pending import Pending
from gateway.launch.provider import Provider, Tokens
from gateway.launch.refusals import not_offered
from gateway.launch.session import Session, new_csrf
from gateway.launch.settings import Client, SignInSettings

CALLBACK: Final = "/sign-in/callback"
ANEW: Final = {"prompt": "login"}
"""OpenID Connect Core 1.0, section 3.1.2.1: the provider asks who it is, whoever signed in there before."""
DISCOVERY: Final = "/.well-known/openid-configuration"


@dataclass(frozen=True, slots=True)
class Offered:
    """One way to sign in, as the page that offers it says it."""

    tag: str
    name: str


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A provider at which somebody may still be signed in, and where they sign out there."""

    name: str
    leave: str


async def elsewhere(providers: Iterable[tuple[Client, Provider]], registration: str) -> Elsewhere | None:
    """The provider of a session that ends; None where it offers no way to sign out."""
    for client, provider in providers:
        if client.registration == registration and (leave := await provider.leaving()):
            return Elsewhere(client.name, leave)
    return None


class SignIns:
    """Every provider at which staff sign in."""

    def __init__(
        self,
        providers: Iterable[SignInSettings],
        codes: CodeFlow,
        naming: Naming,
        *,
        public_url: str,
        transport: Transport,
    ) -> None:
        self._providers = {
            one.tag: (one, Provider(one, one.issuer.rstrip("/") + DISCOVERY, transport)) for one in providers
        }
        self._codes = codes
        self._naming = naming
        self._returns_to = public_url.rstrip("/") + CALLBACK

    @property
    def offered(self) -> tuple[Offered, ...]:
        """In the order of the settings."""
        return tuple(Offered(tag, settings.name) for tag, (settings, _) in self._providers.items())

    async def begin(self, tag: str, *, anew: bool = False) -> tuple[str, str]:
        """(where the browser goes, what its cookie holds). Raises NotFound for a provider that isn't there. `anew`:
        whoever is signed in there has to sign in again."""
        _, provider = self._of(tag)
        return await self._codes.begin(provider, tag, self._returns_to, **(ANEW if anew else {}))

    async def elsewhere(self, session: Session) -> Elsewhere | None:
        """See `elsewhere`."""
        return await elsewhere(self._providers.values(), session.registration)

    async def finish(self, answer: Mapping[str, str], pending: Pending) -> Entered:
        """Who comes back. Raises NotSignedIn, Refusal, EhrUnavailable, CallerRefused."""
        settings, provider = self._of(pending.asked)
        code = await self._codes.code(answer, provider)
        tokens = Tokens.of(await provider.exchange(code, pending.verifier, self._returns_to))
        id_token = await self._codes.said(tokens.id_token, settings, pending)
        named = await self._naming.named(provider, settings, tokens, id_token)
        session = Session(
            system=settings.name,
            counts_as=settings.counts_as,
            registration=settings.registration,
            nhs_number="",
            csrf=new_csrf(),
            token=named.token,
            claims=dict(named.claims),
        )
        return Entered(session, Presented.stated(named.person), named.until)

    def _of(self, tag: str) -> tuple[SignInSettings, Provider]:
        if tag not in self._providers:
            raise not_offered()
        return self._providers[tag]

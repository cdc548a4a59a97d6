"""From what a request presents to a token that may be believed: verified, sent by whom it was given to, not revoked."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.caller.credentials import credentials
from gateway.caller.presented import Presented
from gateway.caller.revocation import Revocations
from gateway.caller.sender import Senders
from gateway.caller.tokens import Tokens, VerifiedToken


@dataclass(frozen=True, slots=True)
class Guards:
    """What a token must pass besides its own checks."""

    senders: Senders
    revocations: Revocations


@dataclass(frozen=True, slots=True)
class Admission:
    """The way in."""

    tokens: Tokens
    guards: Guards

    async def admit(self, presented: Presented) -> VerifiedToken:
        """Raises NotSignedIn (401), BadRequest (a certificate from somebody else than the proxy), SignInUnavailable or
        AuditUnavailable (503)."""
        token = presented.believed or await self._sent(presented)
        await self.guards.revocations.require_standing(token)
        return token

    async def require_standing(self, presented: Presented) -> None:
        """What was admitted before, asked again while its request goes on: the session, the token's end, its key, and
        what its issuer revoked. Who sent it was proven, once. Raises as `admit` does."""
        if presented.holds is not None:
            await presented.holds()
        token = presented.believed or await self.tokens.verify(credentials(presented.authorization).token)
        await self.guards.revocations.require_standing(token)

    async def _sent(self, presented: Presented) -> VerifiedToken:
        certificate = self.guards.senders.certificate(presented)
        given = credentials(presented.authorization)
        token = await self.tokens.verify(given.token)
        await self.guards.senders.check(presented, given, token, certificate)
        return token

"""An issuer changes its keys, while others make key ids up. The clock is turned by the test.

A new key is accepted within 30 seconds of its publication, a removed one refused within 300, and 1,000 unknown key ids
a second cause at most one fetch in 30 seconds, with and without an attack at the same time.
"""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from joserfc.jwk import ECKey, Key

from gateway.caller.admission import Admission
from gateway.caller.keys import Keys
from gateway.caller.presented import Presented
from gateway.caller.settings import IssuerSettings
from gateway.caller.tokens import Tokens
from gateway.demo.identity import Demo
from gateway.errors import NotSignedIn
from tests.marks import no_guards
from tests.proofs import b64

ISSUER: Final = "https://issuer.test"
A_SECOND: Final = 1_000
NEW_KEY_SECONDS: Final = 30
REMOVED_KEY_SECONDS: Final = 300


class Rotating:
    """An issuer with its key set, whoever signs with one of its keys, and who sends made-up key ids."""

    def __init__(self) -> None:
        self.now = 0.0
        self.published: list[Key] = [key()]
        self.fetched: list[float] = []
        self.demo = Demo(ISSUER, "connect-care", clock=lambda: self.now)
        settings = IssuerSettings(
            issuer=ISSUER, audience="connect-care", algorithms=("ES256",), jwks_uri=f"{ISSUER}/jwks"
        )
        keys = Keys([settings], self._fetch, clock=lambda: self.now)
        self.admission = Admission(Tokens([settings], keys, clock=lambda: self.now), no_guards())
        self._payload = b64(json.dumps({"iss": ISSUER}).encode())

    async def _fetch(self, _url: str) -> bytes:
        self.fetched.append(self.now)
        return json.dumps({"keys": [each.as_dict(private=False) for each in self.published]}).encode()

    async def admits(self, key: Key) -> bool:
        return await self._admits(self.demo.mint("gp", key=key))

    async def _admits(self, token: str) -> bool:
        try:
            await self.admission.admit(Presented.bearing(token))
        except NotSignedIn as refused:
            if refused.rule != "token.key":
                raise
            return False
        return True

    async def storm(self, count: int = A_SECOND) -> None:
        """So many tokens at this second, each with a key id of its own."""
        for number in range(count):
            head: dict[str, Any] = {"typ": "at+jwt", "alg": "ES256", "kid": f"{self.now}-{number}"}
            assert not await self._admits(f"{b64(json.dumps(head).encode())}.{self._payload}.AAAA")

    def most_fetches_in(self, seconds: float) -> int:
        """In any stretch of time of that length."""
        return max(sum(1 for other in self.fetched if at <= other < at + seconds) for at in self.fetched)


def key() -> Key:
    return ECKey.generate_key("P-256", {"use": "sig"}, auto_kid=True)


async def test_a_thousand_unknown_key_ids_a_second_cause_one_fetch_in_thirty_seconds() -> None:
    issuer = Rotating()
    assert await issuer.admits(issuer.published[0])
    for second in range(61):
        issuer.now = float(second)
        await issuer.storm(A_SECOND if second in (0, 1, 29, 30, 31, 60) else 20)
    assert issuer.fetched == [0, 30, 60]
    assert await issuer.admits(issuer.published[0]), "and nobody who is known notices"


async def test_a_new_key_is_accepted_within_thirty_seconds_of_its_publication() -> None:
    for published_at in (0.0, 1.0, 29.0, 30.0, 200.0):
        issuer = Rotating()
        assert await issuer.admits(issuer.published[0])
        new = key()
        issuer.now = published_at
        issuer.published.append(new)
        issuer.now = published_at + NEW_KEY_SECONDS
        assert await issuer.admits(new), published_at
        assert issuer.most_fetches_in(30) == 1


async def test_also_while_somebody_makes_up_key_ids_all_the_time() -> None:
    issuer = Rotating()
    assert await issuer.admits(issuer.published[0])
    new = key()
    accepted = []
    for second in range(70):
        issuer.now = float(second)
        await issuer.storm(50)
        if second == 31:  # just after the fetch that the storm caused
            issuer.published.append(new)
        if second > 31 and await issuer.admits(new):
            accepted.append(second)
    assert accepted[0] <= 31 + NEW_KEY_SECONDS
    assert issuer.most_fetches_in(30) == 1


async def test_a_removed_key_is_refused_within_three_hundred_seconds() -> None:
    for removed_at in (0.0, 1.0, 150.0, 299.0):
        issuer = Rotating()
        old, new = issuer.published[0], key()
        token = issuer.demo.mint("gp", key=old)
        assert await issuer._admits(token)
        issuer.now = removed_at
        assert await issuer._admits(token)
        issuer.published[:] = [new]
        issuer.now = removed_at + REMOVED_KEY_SECONDS
        assert not await issuer._admits(token), "remembered, and refused all the same"
        assert not await issuer.admits(old), removed_at
        assert await issuer.admits(new)


async def test_a_key_that_was_changed_under_its_name_is_another() -> None:
    issuer = Rotating()
    old = issuer.published[0]
    token = issuer.demo.mint("gp", key=old)
    assert await issuer._admits(token)
    issuer.published[:] = [ECKey.generate_key("P-256", {"kid": old.kid or "", "use": "sig"})]
    issuer.now = REMOVED_KEY_SECONDS
    with pytest.raises(NotSignedIn) as refused:
        await issuer.admission.admit(Presented.bearing(token))
    assert refused.value.rule == "token.signature"

"""What issuers publish: passed on as it is, fetched seldom, and never half of it."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final

import pytest

from gateway.caller.directory import BETWEEN_SECONDS, FRESH_SECONDS, Directory
from gateway.caller.settings import IssuerSettings

ISSUER: Final = "https://issuer.test"
DOCUMENT: Final = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/authorize",
    "token_endpoint": f"{ISSUER}/token",
    "jwks_uri": f"{ISSUER}/jwks",
    "grant_types_supported": ["authorization_code"],
    "claims_parameter_supported": True,
}


def issuer(name: str = ISSUER, **more: Any) -> IssuerSettings:
    return IssuerSettings(issuer=name, audience="a", algorithms=("ES256",), **more)


class Bench:
    def __init__(self, *issuers: IssuerSettings) -> None:
        self.now = 0.0
        self.document: Any = DOCUMENT
        self.broken = False
        self.fetched: list[str] = []
        self.directory = Directory(issuers or [issuer()], self._fetch, clock=lambda: self.now)

    async def _fetch(self, url: str) -> bytes:
        self.fetched.append(url)
        await asyncio.sleep(0)
        if self.broken:
            raise OSError("down")
        return json.dumps(self.document).encode()

    async def published(self) -> dict[str, Any] | None:
        first = await self.directory.first()
        return dict(first[1]) if first else None


async def test_what_is_known_of_the_standard_is_passed_on_and_nothing_else() -> None:
    assert await Bench().published() == {
        name: value for name, value in DOCUMENT.items() if name != "claims_parameter_supported"
    }


async def test_it_is_fetched_once_while_fresh_whoever_asks() -> None:
    bench = Bench()
    assert len({str(one) for one in await asyncio.gather(*[bench.published() for _ in range(50)])}) == 1
    bench.now = FRESH_SECONDS - 1
    await bench.published()
    assert bench.fetched == [f"{ISSUER}/.well-known/openid-configuration"]
    bench.now = FRESH_SECONDS
    await bench.published()
    assert len(bench.fetched) == 2


async def test_while_it_cannot_be_had_it_is_asked_for_seldom_and_what_was_had_serves_on() -> None:
    bench = Bench()
    bench.broken = True
    for second in range(int(BETWEEN_SECONDS) + 1):
        bench.now = float(second)
        assert await bench.published() is None
    assert len(bench.fetched) == 2
    bench.broken = False
    bench.now = 2 * BETWEEN_SECONDS
    assert await bench.published()
    bench.broken = True
    bench.now += FRESH_SECONDS
    assert await bench.published()
    assert len(bench.fetched) == 4


BAD: Final[dict[str, Any]] = {
    "another issuer's": DOCUMENT | {"issuer": "https://evil.test"},
    "a list": [],
    "an address that is none": DOCUMENT | {"token_endpoint": "javascript:alert(1)"},
    "plain http": DOCUMENT | {"token_endpoint": "http://issuer.test/token"},
    "an address that is a number": DOCUMENT | {"authorization_endpoint": 7},
    "a list that is text": DOCUMENT | {"scopes_supported": "openid"},
    "a list of numbers": DOCUMENT | {"scopes_supported": [1]},
    "an enormous list": DOCUMENT | {"scopes_supported": ["a"] * 501},
    "the demo's": DOCUMENT | {"connect_care_demo": True},
}


@pytest.mark.parametrize("name", BAD)
async def test_a_document_that_is_not_right_throughout_is_not_passed_on(name: str) -> None:
    bench = Bench()
    bench.document = BAD[name]
    assert await bench.published() is None


async def test_the_first_at_which_people_sign_in_is_named_and_all_of_them_are_listed() -> None:
    supplier = issuer("https://ehr.test", claims="ehr-assertion", organisations=("RJ2",))
    bench = Bench(supplier, issuer(), issuer("https://second.test"))
    assert [one.issuer for one in bench.directory.issuers] == [ISSUER, "https://second.test"]
    first = await bench.directory.first()
    assert first is not None
    assert first[0].issuer == ISSUER
    assert await Bench(supplier).directory.first() is None

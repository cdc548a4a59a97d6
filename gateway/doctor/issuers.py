"""Who signs people in: reachable, known by its own name, with keys that are accepted; and its clock is ours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from functools import partial
from typing import Any, Final

from connectors.sdk.errors import SourceError
from connectors.sdk.http import fetch_bytes
from gateway.caller.compact import Malformed
from gateway.caller.issuer_document import MOST_BYTES, Fetch, bounded, discovered
from gateway.caller.jwk import DemoKeys, VerifyingKeys, read_key_set
from gateway.caller.settings import IssuerSettings
from gateway.doctor.finding import Examined, Finding
from gateway.doctor.reach import SECONDS, Unreached, reach

MOST_APART: Final = timedelta(seconds=10)
"""Between our clock and an issuer's: its tokens are believed from their first second on."""
_NOT_REACHED: Final = "Make sure that this machine reaches it, and that its certificate is believed here."


async def issuers(examined: Examined) -> AsyncIterator[Finding]:
    """Every issuer of the settings, and whoever else signs what is believed."""
    fetch: Fetch = partial(fetch_bytes, limit=MOST_BYTES, timeout=SECONDS, tls=examined.tls)
    given = examined.settings
    signers = {one.issuer: one.signer for one in given.registered} | {one.issuer: one for one in given.issuers}
    looked = await asyncio.gather(*(_issuer(one, fetch) for one in signers.values()))
    for findings in looked:
        for finding in findings:
            yield finding


async def clock(examined: Examined) -> AsyncIterator[Finding]:
    """Our clock beside the first issuer's."""
    issuer = examined.settings.issuers[0].issuer
    try:
        reached = await reach(issuer, examined.tls, its_clock=True)
    except Unreached:
        return  # told of the issuer
    apart = examined.now() - reached.date if reached.date else timedelta()
    if abs(apart) > MOST_APART:
        seconds = abs(round(apart.total_seconds()))
        direction = "ahead of" if apart > timedelta() else "behind"
        what = f"this machine's clock is {seconds} s {direction} that of {issuer}"
        yield Finding("clock", what, "Keep it by NTP: tokens end by it, and the journal's times are its.")


async def _issuer(settings: IssuerSettings, fetch: Fetch) -> list[Finding]:
    about = settings.issuer
    try:
        document = {} if settings.jwks_uri else await discovered(settings, fetch, allow_demo=False)
        address = settings.jwks_uri or document.get("jwks_uri")
        if not isinstance(address, str):
            raise Malformed("the discovery document names no jwks_uri")
        keys = read_key_set(await bounded(fetch, address), allow_demo=False)
    except DemoKeys:
        return [Finding(about, "it is the demo's identity provider", "Name your own issuer.")]
    except SourceError as error:
        return [Finding(about, f"its metadata or keys can't be had ({error})", _NOT_REACHED)]
    except (Malformed, ValueError) as error:
        return [Finding(about, f"its metadata or keys can't be used ({error})", "Compare issuer with what it says.")]
    return [*_keys(settings, keys), *(_binding(settings, document) if document else ())]


def _keys(settings: IssuerSettings, keys: VerifyingKeys) -> Iterator[Finding]:
    if not keys.algorithms & set(settings.algorithms):
        has = ", ".join(sorted(keys.algorithms)) or "none"
        what = f"none of its keys is for {', '.join(settings.algorithms)}; it has keys for {has}"
        yield Finding(settings.issuer, what, "Set algorithms to those that it signs with.")


def _binding(settings: IssuerSettings, document: dict[str, Any]) -> Iterator[Finding]:
    binds = document.get("dpop_signing_alg_values_supported") or document.get(
        "tls_client_certificate_bound_access_tokens"
    )
    if settings.claims.preset.signs_people_in and not binds:
        yield Finding(
            settings.issuer,
            "its metadata doesn't say that it binds tokens to their sender, and unbound ones are refused",
            "Switch on DPoP (RFC 9449) or certificate-bound tokens (RFC 8705) there.",
        )

"""How the parts of a gateway begin their work in the background, and how they end it."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from connectors.sdk import kernel, shape
from gateway import log
from gateway.observe import meters
from gateway.parts import Parts
from gateway.policy import r4
from gateway.version import VERSION

_CLOSING_SECONDS: Final = 5.0


def begin(parts: Parts) -> None:
    """Start what follows the journal. Everything that lives as long as the process is there by now."""
    parts.follow_up.start()
    parts.followers.start()
    parts.checkpointer.start()
    _settle()
    sources = len(parts.fan_out.states)
    meters.runs(VERSION, kernel.running(), parts.policy.hash)
    log.event(
        "gateway.started", version=VERSION, policy_hash=parts.policy.hash, sources=sources, kernel=kernel.running()
    )


async def close(parts: Parts) -> None:
    """End what is under way and close the connectors, then the store: that one always, whatever else fails."""
    ends = {"issuers": parts.callers.aclose}
    ends["audit-copies"] = parts.followers.aclose
    ends["launches"] = parts.launches.aclose
    try:
        await parts.follow_up.aclose()
        await parts.fair_use.aclose()
        await parts.volume.aclose()
        await parts.shadow.aclose()
        await close_sources(parts)
        await _close_all(ends)
    finally:
        await parts.checkpointer.aclose()
        await parts.store.aclose()
        log.event("gateway.stopped", version=VERSION)


async def close_sources(parts: Parts) -> None:
    """Close the connection to each source. What fails is logged, and holds up nobody."""
    ends = {ods: state.connector.aclose for ods, state in parts.fan_out.states.items()}
    await _close_all({**ends, "practices": parts.fan_out.sources.aclose})


async def _close_all(ends: Mapping[str, Callable[[], Awaitable[None]]]) -> None:
    outcomes = await asyncio.gather(*map(_in_time, ends.values()), return_exceptions=True)
    for source, outcome in zip(ends, outcomes, strict=True):
        if isinstance(outcome, BaseException):
            log.failed("source.close-failed", outcome, source=source)


async def _in_time(aclose: Callable[[], Awaitable[None]]) -> None:
    async with asyncio.timeout(_CLOSING_SECONDS):
        await aclose()


def _settle() -> None:
    """What is made at start-up lives as long as the process: take it out of every later collection's way."""
    for kind in shape.KNOWN_TYPES:
        shape.decoder_for(kind)
    r4.prepare()
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)

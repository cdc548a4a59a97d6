"""Makes sandboxes of the running demo misbehave, or behave again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from gateway.demo.token import demo_client, soon


class NoSuchSource(LookupError):
    """The demo has no sandbox of that ODS code. The text says which it has."""


async def behave(control: Mapping[str, str], organisations: Sequence[str], mode: str) -> None:
    """From now on these organisations' sandboxes are in `mode`. `control` holds control addresses by ODS code.

    Raises NoSuchSource before any is changed, and SourceError where a sandbox knows no such mode.
    """
    unknown = [ods for ods in organisations if ods not in control]
    if unknown:
        raise NoSuchSource(f"The demo has no sandbox {unknown[0][:12]}. It has {', '.join(sorted(control))}.")
    for ods in organisations:
        await _make(control[ods], mode)


async def _make(address: str, mode: str) -> None:
    folder, _, name = address.rpartition("/")
    async with demo_client(folder) as client:
        body = json.dumps({"mode": mode}).encode()
        await client.post(name, body, deadline=soon(), headers={"Content-Type": "application/json"})

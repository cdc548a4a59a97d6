"""`connectcare audit explain`: why could, or couldn't, this person see this?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from gateway.explain.model import Explanation


def explain(
    request_id: Annotated[str, typer.Argument(help="The X-Request-ID of the answer.")],
    data: Annotated[Path | None, typer.Option(help="The gateway's data folder.")] = None,
    database: Annotated[str | None, typer.Option(help="Or its PostgreSQL URL.")] = None,
    key_file: Annotated[Path | None, typer.Option(help="The master key: the patient is named with it alone.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Explain every row of a request by rule and sentence, under the policies that were in force that day.

    Exit code 2 where there is no such request.
    """
    import asyncio

    from gateway.audit_commands.reading import trouble

    with trouble():
        explanation = asyncio.run(_explained(request_id, data, database, key_file))
    typer.echo(_as_json(explanation) if as_json else _as_text(explanation))


async def _explained(request_id: str, data: Path | None, database: str | None, key_file: Path | None) -> Explanation:
    from gateway.audit_commands.reading import hold_to, reading, rows_of
    from gateway.explain.explain import Explainer
    from gateway.sealed import Sealer, load_master_key

    sealer = Sealer(load_master_key(key_file)) if key_file else None
    async with reading(data, database) as store:
        if sealer is not None:
            await hold_to(store, sealer)
        return await Explainer(store, sealer).explain(request_id, await rows_of(store, request_id))


def _as_text(explanation: Explanation) -> str:
    from gateway.explain.words import as_text

    return as_text(explanation)


def _as_json(explanation: Explanation) -> str:
    import msgspec

    return msgspec.json.format(msgspec.json.encode(explanation), indent=2).decode()

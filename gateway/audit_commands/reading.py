"""What the commands that answer about one request share: a store that is only read, and trouble as exit code 2."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

if TYPE_CHECKING:
    from gateway.sealed import Sealer
    from gateway.store.interface import Kept, Store

TROUBLE: Final = 2
_PAGE: Final = 1000


@contextmanager
def trouble() -> Iterator[None]:
    """What stops the command is one sentence and exit code 2: 1 is an answer here."""
    from connectors.sdk.errors import ConfigurationError
    from gateway.errors import GatewayError
    from gateway.store.interface import StoreUnusable

    try:
        yield
    except (ConfigurationError, GatewayError, StoreUnusable, OSError, ValueError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(TROUBLE) from error


@asynccontextmanager
async def reading(data: Path | None, database: str | None) -> AsyncIterator[Store]:
    """A store beside a running gateway, only to be read. Raises ValueError, StoreUnusable."""
    from gateway.store.open import open_for_reading

    store = open_for_reading(data, database)
    try:
        yield store
    finally:
        await store.aclose()


async def request_rows(
    request_id: str, data: Path | None, database: str | None, *, sealer: Sealer | None = None
) -> list[Kept]:
    """Every row of one request, in order. Raises ValueError where there is none; with `sealer` also where that isn't
    the store's key: with another one everything would seem not to have been shown."""
    async with reading(data, database) as store:
        if sealer is not None:
            await hold_to(store, sealer)
        return await rows_of(store, request_id)


async def hold_to(store: Store, sealer: Sealer) -> None:
    """Raises ValueError where what the store sealed doesn't open with this key."""
    kept = await store.rows(limit=_PAGE)
    sealed = next((each.row.sealed_patient for each in kept if each.row.sealed_patient), None)
    if sealed is not None and not sealer.opens(sealed):
        raise ValueError("The key file holds another key than this store was written with. Give the gateway's own.")


async def rows_of(store: Store, request_id: str) -> list[Kept]:
    """Of a batch, the rows of its entries, which are requests of their own. Raises ValueError where there is none."""
    from gateway.audit.entries import entry_ids

    found = await _rows_of_one(store, request_id)
    if not found:
        found = [each for entry in entry_ids(request_id) for each in await _rows_of_one(store, entry)]
    if not found:
        raise ValueError(
            "The journal has no row of this request. Check the id (the X-Request-ID of the answer); rows that were "
            "erased can't be found by it any more."
        )
    return found


async def _rows_of_one(store: Store, request_id: str) -> list[Kept]:
    found: list[Kept] = []
    while page := await store.rows(request_id=request_id, after=found[-1].seq if found else 0, limit=_PAGE):
        found += page
    return found

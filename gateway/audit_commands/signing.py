"""`connectcare audit key new` and `audit signer`: the key that signs checkpoints, and a process that keeps it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

key = typer.Typer(no_args_is_help=True, help="The key that signs the journal's checkpoints.")


@key.command("new")
def key_new(
    file: Annotated[Path, typer.Argument(help="Where to write it; never over an existing file.")],
    name: Annotated[str, typer.Option(help="The log's name, for good: care.example.org/journal, say.")],
) -> None:
    """Make an Ed25519 key: FILE, which only its owner can read, and FILE.pub to give to whoever verifies."""
    from gateway.audit.checkpoints import new_key
    from gateway.audit_commands.reading import trouble

    with trouble():
        try:
            public = new_key(file, name)
        except FileExistsError as error:
            raise ValueError(
                f"{error.filename or file} exists already. A journal keeps its key: with another one nothing that "
                "was signed could be verified."
            ) from error
    typer.echo(f"{file} (keep it secret)\n{public} (give it away): {public.read_text(encoding='utf-8').strip()}")


def signer(
    key: Annotated[Path, typer.Option(help="The signing key.")],
    state: Annotated[Path, typer.Option(help="Where it remembers what it signed last. Keep it with the key.")],
    socket: Annotated[Path, typer.Option(help="The Unix socket to listen on: a gateway's checkpoint_signer.")],
    group_may_ask: Annotated[
        bool,
        typer.Option("--group-may-ask", help="Open the socket to the folder's group: for workers of another user."),
    ] = False,
) -> None:
    """Sign checkpoints, until stopped, and only such as extend the last one that was signed.

    Run it as another user than the gateway's: then whoever takes over a worker can't sign another history.
    """
    import asyncio
    from contextlib import suppress

    from gateway.audit.log.checkpoint import SigningKey
    from gateway.audit.log.signer import SignerUnavailable, serve
    from gateway.audit_commands.reading import trouble

    with trouble(), suppress(KeyboardInterrupt):
        loaded = SigningKey.load(key)
        typer.echo(f"Signing for {loaded.origin} on {socket}   (Ctrl-C stops it)")
        try:
            asyncio.run(serve(loaded, state, socket, group_may_ask=group_may_ask))
        except SignerUnavailable as error:
            raise ValueError(str(error)) from error

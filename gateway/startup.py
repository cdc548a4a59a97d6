"""Why a gateway didn't start. A server that runs one only logs that it failed, and exits: the sentence that says what
to mend is with the error, which is kept on the application and raised again here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import FastAPI


def keep(gateway: FastAPI, error: Exception) -> None:
    """Remember what stopped the start."""
    gateway.state.startup_error = error


@contextmanager
def explained(gateway: FastAPI) -> Iterator[None]:
    """Around running a server: where it exits because the gateway couldn't start, the gateway's own error is raised."""
    try:
        yield
    except SystemExit:
        error: Exception | None = getattr(gateway.state, "startup_error", None)
        if error is None:
            raise
        raise error from error.__cause__

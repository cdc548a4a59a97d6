"""`connectcare reload`: a running gateway reads its policies, label tables and organisations anew, in every worker."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

if TYPE_CHECKING:
    from gateway.in_force import InForce

_PATIENCE: Final = 60.0
_LOOK_SECONDS: Final = 0.1
_State = dict[str, Any]


class NotReloaded(Exception):
    """The gateway isn't, or isn't everywhere, as its files say. The text says why, and what to do."""


def reload(
    config: Annotated[Path | None, typer.Option(help="The YAML file of settings that the gateway is run with.")] = None,
) -> None:
    """Have a running gateway read its policies, label tables and organisations anew; no request fails by it.

    They are checked first: where a file is wrong, nothing changes, and it says what. Requests under way end with what
    they began with. It waits until every worker of this machine has done it, and says what is in force. Settings aren't
    read again: they need a start. Run it as the gateway's own user; SIGHUP to the gateway's process does the same.
    """
    from gateway.reload import read_whole
    from gateway.running import MAIN, WORKER, present
    from gateway.settings import load_settings

    settings = load_settings(config)
    expected = read_whole(settings, lambda _who, _entry: True)  # what runs is known to the workers, who judge it
    running = present(settings.data_dir, MAIN)
    if not running:
        raise NotReloaded(
            f"No gateway runs here on {settings.data_dir}. What the files say is well: it is read at the next start."
        )
    before = {state["pid"]: state.get("times", -1) for state in present(settings.data_dir, WORKER)}
    for state in running:
        os.kill(state["pid"], signal.SIGHUP)
    workers = _followed(settings.data_dir, before)
    _demand(workers, expected)
    policy, organisations = expected.policy.hash[:12], expected.organisations.digest[:12]
    typer.echo(f"In force in {len(workers)} workers: policies {policy}, organisations {organisations}.")


def _followed(data: Path, before: dict[int, int]) -> list[_State]:
    """The workers, once each has reloaded, or has started meanwhile. Raises NotReloaded."""
    from gateway.running import WORKER, present

    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        workers = present(data, WORKER)
        if workers and all(state.get("times", -1) > before.get(state["pid"], -1) for state in workers):
            return workers
        time.sleep(_LOOK_SECONDS)
    raise NotReloaded(f"Not every worker answered within {_PATIENCE:g} s. Look into the log, and try again.")


def _demand(workers: list[_State], expected: InForce) -> None:
    said = sorted({state["error"] for state in workers if state["error"]})
    if said:
        raise NotReloaded("\n".join(said))
    wanted = (expected.policy.hash, expected.organisations.digest)
    if any((state["policy"], state["organisations"]) != wanted for state in workers):
        raise NotReloaded("The files changed while the workers read them. Reload again once they are whole.")

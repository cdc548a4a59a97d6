"""Runs `connector replay`, and says by its exit code what came of it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import typer

from connectors.sdk.errors import ConfigurationError
from gateway.connector_commands import replay, replay_report
from gateway.connector_commands.refusals import CannotDo
from gateway.replay.account import counted
from gateway.replay.fate import Fate
from gateway.settings import SettingsError

UNEXPLAINED: Final = 1
UNUSABLE: Final = 2


def run(order: replay.Order, *, as_json: bool, out: Path | None) -> int:
    """0 where all is accounted for, UNEXPLAINED where something isn't, UNUSABLE where the input can't be used."""
    try:
        replayed = replay.run(order)
        if out is not None:
            replay_report.write(replayed, out)
    except (CannotDo, ConfigurationError, SettingsError) as error:
        typer.echo(str(error), err=True)
        return UNUSABLE
    except Exception as error:  # our own fault; what it quotes may be of the patient's
        typer.echo(f"Something went wrong here ({type(error).__name__}), so nothing is accounted for.", err=True)
        return UNEXPLAINED
    typer.echo(replay_report.as_json(replayed) if as_json else replay_report.told(replayed))
    if out is not None:
        typer.echo(f"Written to {out}. {replay_report.CLINICAL}", err=True)
    return UNEXPLAINED if counted(replayed.lines)[Fate.UNEXPLAINED] else 0

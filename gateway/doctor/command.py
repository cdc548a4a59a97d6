"""`connectcare doctor`: what production still lacks, in words. Silent, with exit code 0, where that is nothing."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Annotated, Final

import typer

_LAST_PORT: Final = 65535


def doctor(
    config: Annotated[Path | None, typer.Option(help="The YAML file of settings that the gateway is run with.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=_LAST_PORT, help="Of a running demo: its port.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Say what a gateway lacks for production, and what to do about each thing.

    It looks for itself: at the settings, key files, disks, the store, the policies, the organisations and their
    certificates, and over the network at issuers, sources and the clock. No gateway need run, and nothing is changed.
    Without --config it reads CONNECTCARE_ variables or, where there are none, the running demo's settings.
    """
    from gateway.demo.state import settings_file
    from gateway.doctor.examine import examine, read

    subject = read(config or settings_file(port))
    found = asyncio.run(examine(subject))
    is_ready = all(finding.is_advice for finding in found)
    if as_json:
        listed = [
            {"about": one.about, "what": one.what, "remedy": one.remedy, "isAdvice": one.is_advice} for one in found
        ]
        typer.echo(json.dumps({"ready": is_ready, "findings": listed}, indent=2))
    else:
        typer.echo("".join(f"{number}. {one}\n" for number, one in enumerate(found, start=1)), nl=False)
    if not is_ready:
        raise typer.Exit(1)

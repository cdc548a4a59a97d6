"""The command line of `connectcare connector`. A command imports what it needs when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Make, check, list, describe, try and replay connectors.")

Name = Annotated[str, typer.Argument(help="The connector: its folder under connectors/.")]
Organisations = Annotated[
    Path | None, typer.Option("--organisations", help="organisations.yaml; the shipped one by default.")
]


@app.command("new")
def new(
    name: Annotated[str, typer.Argument(help="Its folder under connectors/: small letters, digits, underscores.")],
    kind: Annotated[str, typer.Option(help="fhir-r4 (no code) or dialect (a system with a JSON API of its own).")],
    ods: Annotated[str, typer.Option(help="The ODS code of the organisation.")],
    organisation_type: Annotated[str, typer.Option("--type", help="Its type, as in organisations.yaml.")] = (
        "acute-trust"
    ),
    address: Annotated[str, typer.Option(help="Its address, where it is known already.")] = (
        "https://fhir.organisation.example/R4"
    ),
    owner: Annotated[str | None, typer.Option(help="Who owns the connector; you by default.")] = None,
    root: Annotated[Path | None, typer.Option("--dir", help="A source checkout; the running one by default.")] = None,
) -> None:
    """Write a connector: manifest, settings, mapping, sandbox, people, test, README, and its organisation's entry."""
    from gateway.connector_commands import scaffold

    order = scaffold.order(name, kind, ods, organisation_type, address=address, owner=owner, root=root)
    files = scaffold.write(order)
    typer.echo(scaffold.told(order, files))


@app.command("check")
def check(
    name: Name,
    case: Annotated[list[str] | None, typer.Option("--case", help="Only this case: K07. May be repeated.")] = None,
    ods: Annotated[str | None, typer.Option(help="Whose data of the sandbox, in place of the manifest's.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    record: Annotated[bool, typer.Option("--record", help="Write what was passed as evidence for bronze.")] = False,
) -> None:
    """Run the conformance kit, offline; exit code 1 where a case fell."""
    from gateway.connector_commands.checking import run_kit

    chosen = [part for number in case or () for part in ("--case", number)]
    chosen += ["--ods", ods] if ods else []
    chosen += ["--json"] if as_json else []
    raise SystemExit(run_kit([name, *chosen, *(["--record"] if record else [])]))


@app.command("list")
def list_all(organisations: Organisations = None) -> None:
    """List the installed connectors: grade, and the organisations behind each."""
    from gateway.connector_commands import shelf

    typer.echo(shelf.listing(organisations))


@app.command("describe")
def describe(name: Name, organisations: Organisations = None) -> None:
    """Describe a connector: its contract, its sections, its settings, and its grade with the evidence."""
    from gateway.connector_commands import shelf

    typer.echo(shelf.description(name, organisations))


@app.command("try")
def try_one(
    name: Name,
    nhs_number: Annotated[str, typer.Option(help="Whom to ask about: a test patient of the organisation.")],
    config: Annotated[Path, typer.Option(help="The gateway's settings: its journal and its organisations.")],
    reason: Annotated[str, typer.Option(help="connecting, fault, contract-run or drill.")],
    ods: Annotated[str | None, typer.Option(help="Which organisation, where several stand behind it.")] = None,
    organisations: Annotated[Path | None, typer.Option(help="Another organisations.yaml than the settings'.")] = None,
    acting_as: Annotated[
        str | None, typer.Option("--as", help="ROLE@ODS: ask for what this role may see, in that role's name.")
    ] = None,
    user_id: Annotated[str | None, typer.Option(help="Who you are; your user name here by default.")] = None,
    ticket: Annotated[str, typer.Option(help="What it belongs to: CHG-1042.")] = "",
    record: Annotated[bool, typer.Option("--record", help="Write a whole answer as evidence for silver.")] = False,
    owner: Annotated[str, typer.Option(help="With --record: who answers for the connection.")] = "",
) -> None:
    """Ask an organisation one real question. It is an access to a patient's data: it's journalled, under your name.

    Exit code 1 where nobody was asked, or the answer isn't whole.
    """
    from gateway.connector_commands import report, trial
    from gateway.connector_commands.wish import Wish

    tried = trial.run(
        Wish(name, nhs_number, config, reason, ods, organisations, acting_as, user_id, ticket, record, owner)
    )
    typer.echo(report.told(tried))
    if record:
        typer.echo(f"Recorded in {report.record(tried, owner)}")
    if tried.has_gaps:
        raise SystemExit(1)


@app.command("replay")
def replay(
    name: Name,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Saved payloads, as the source sent them.")],
    nhs_number: Annotated[
        str | None, typer.Option(help="Whose record it is, where the payloads don't say so (masked ones don't).")
    ] = None,
    acting_as: Annotated[str, typer.Option("--as", help="ROLE or ROLE@ODS: who would see it.")] = "gp",
    as_json: Annotated[bool, typer.Option("--json", help="The account as JSON.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write the Bundle that the role would see to this new file.")] = None,
    ods: Annotated[str | None, typer.Option(help="Whose payloads: an organisation's code, for its settings.")] = None,
    organisations: Organisations = None,
    config: Annotated[
        Path | None, typer.Option(help="A gateway's settings, for its organisations and policies.")
    ] = None,
) -> None:
    """Where is it? What becomes of each resource of a saved answer, up to what a role would see.

    Exit code 1 where a resource is unexplained, 2 where the files or options can't be used. Nobody is asked, nothing
    goes over a network, and nothing is written but --out. A real patient's payload is clinical data, and so is --out:
    handle both under your organisation's rules.
    """
    from gateway.connector_commands.replay import Order
    from gateway.connector_commands.replay_app import run

    order = Order(name, files, nhs_number, acting_as, ods, organisations, config)
    raise SystemExit(run(order, as_json=as_json, out=out))

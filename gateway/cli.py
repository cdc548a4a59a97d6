"""`connectcare`: serve, reload, migrate, doctor, demo, policy, keys, connector, choice, audit, openapi."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import typer

from gateway.audit_commands.app import app as audit
from gateway.choice_commands.app import app as choice
from gateway.connector_commands.app import app as connector
from gateway.doctor.command import doctor
from gateway.policy_commands.diff import diff as policy_diff
from gateway.reload_command import reload

# A command imports what it needs when it runs: `demo token` is typed between two curls, and must not wait for a server.

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Connect Care: a federated, live patient record.")
demo = typer.Typer(invoke_without_command=True, help="Sandboxes, a demo identity provider and the gateway, at once.")
policy = typer.Typer(no_args_is_help=True, help="Who sees what.")
keys = typer.Typer(no_args_is_help=True, help="The gateway's master key.")
app.add_typer(demo, name="demo")
app.add_typer(policy, name="policy")
app.add_typer(keys, name="keys")
app.add_typer(connector, name="connector")
app.add_typer(choice, name="choice")
app.add_typer(audit, name="audit")

_LAST_PORT: Final = 65535
Port = Annotated[int | None, typer.Option(min=0, max=_LAST_PORT, help="The gateway's port on 127.0.0.1.")]


def main() -> None:
    """The command line."""
    try:
        app()
    except Exception as error:
        if not isinstance(error, _stopping()):
            raise
        _stop(str(error))


_STOPPING: Final = {
    "connectors.sdk.errors": ("ConfigurationError", "SourceError"),
    "gateway.choice_commands.refusals": ("CannotChoose",),
    "gateway.connector_commands.refusals": ("CannotDo",),
    "gateway.contracts.published": ("ContractBroken",),
    "gateway.demo.people": ("NoSuchPerson",),
    "gateway.demo.run": ("DemoFailed",),
    "gateway.demo.source": ("NoSuchSource",),
    "gateway.demo.state": ("NoDemo",),
    "gateway.reload_command": ("NotReloaded",),
    "gateway.settings": ("SettingsError",),
    "gateway.store.interface": ("StoreUnusable",),
}
"""What stops a command with its own sentence, by module; OSError and ValueError do too. The rest is our fault."""


def _stopping() -> tuple[type[Exception], ...]:
    # An exception whose module was never imported wasn't raised.
    loaded = ((sys.modules[module], names) for module, names in _STOPPING.items() if module in sys.modules)
    return (*(getattr(module, name) for module, names in loaded for name in names), OSError, ValueError)


def _stop(sentence: str) -> NoReturn:
    typer.echo(sentence, err=True)
    raise SystemExit(1)


@app.command()
def serve(
    config: Annotated[Path | None, typer.Option(help="A YAML file of settings.")] = None,
    host: Annotated[str, typer.Option(help="The address to listen on; TLS ends at a proxy in front.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=_LAST_PORT, help="The port to listen on.")] = 8000,
    workers: Annotated[int, typer.Option(min=1, max=256, help="Processes; more than one need PostgreSQL.")] = 1,
    socket: Annotated[Path | None, typer.Option(help="Serve on this Unix socket instead of a port.")] = None,
) -> None:
    """Run the gateway."""
    from gateway.serving import serve as run
    from gateway.settings import load_settings

    run(load_settings(config), host=host, port=port, workers=workers, unix_socket=socket)


@app.command()
def migrate(config: Annotated[Path | None, typer.Option(help="A YAML file of settings.")] = None) -> None:
    """Bring the store to this version's schema, and end. A gateway that starts does the same by itself."""
    from gateway.settings import load_settings
    from gateway.store.open import open_for_writing

    asyncio.run(open_for_writing(load_settings(config)).aclose())
    typer.echo("The store has this version's schema.")


@demo.callback()
def demo_run(
    context: typer.Context,
    port: Port = None,
    data: Annotated[Path | None, typer.Option(help="Folder of the store; a fresh temporary one by default.")] = None,
    canaries: Annotated[bool, typer.Option(help="Plant a unique string in every sandbox resource.")] = False,
    organisations: Annotated[Path | None, typer.Option(help="Another organisations.yaml.")] = None,
    metrics_port: Annotated[int, typer.Option(min=0, max=_LAST_PORT, help="For metrics; 0 takes a free one.")] = 0,
) -> None:
    """Run the demo until Ctrl-C."""
    if context.invoked_subcommand is None:
        from gateway.demo.run import DemoOptions, run

        chosen = _port() if port is None else port
        run(DemoOptions(chosen, metrics_port, data=data, canaries=canaries, organisations=organisations))


def _port() -> int:
    """The demo's port as `PORT=8001 make demo` says it. Raises ValueError."""
    said = os.environ.get("PORT") or "8000"
    if not (said.isascii() and said.isdigit() and int(said) <= _LAST_PORT):
        raise ValueError(f"PORT={said[:20]} is no port. Give a number up to {_LAST_PORT}: PORT=8001 make demo")
    return int(said)


@demo.command("token")
def demo_token(
    who: Annotated[str, typer.Option("--as", help="A role: gp, nurse, …; or role@ODS.")],
    port: Port = None,
) -> None:
    """Print an access token of the running demo, and nothing else."""
    from gateway.demo.people import person
    from gateway.demo.state import find
    from gateway.demo.token import fetch_token

    person(who)  # says whom the demo has, where it hasn't got them
    typer.echo(asyncio.run(fetch_token(find(port)["issuer"], who)))


@demo.command("source")
def demo_source(
    mode: Annotated[str, typer.Argument(help="well, slow, broken, hung, lying, busy, …")],
    organisations: Annotated[list[str], typer.Argument(help="Their ODS codes: G85005 RJ2 …")],
    port: Port = None,
) -> None:
    """Make organisations' sandboxes misbehave, or behave again (well)."""
    from gateway.demo.source import behave
    from gateway.demo.state import find

    asyncio.run(behave(find(port)["control"], organisations, mode))
    typer.echo("".join(f"{ods} is {mode}\n" for ods in organisations), nl=False)


@demo.command("metrics")
def demo_metrics(port: Port = None) -> None:
    """Show the running demo's metrics as a table: doors, steps, sources, the audit."""
    from gateway.demo.state import find
    from gateway.observe.shown import fetched, shown

    typer.echo(shown(fetched(find(port)["metrics"])), nl=False)


@demo.command("patients")
def demo_patients(
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    port: Port = None,
) -> None:
    """List the running demo's made-up patients."""
    from gateway.demo.state import find

    people = [
        {name: person[name] for name in ("nhsNumber", "birthDate", "name", "story")} for person in find(port)["people"]
    ]
    if as_json:
        typer.echo(json.dumps(people, indent=2, ensure_ascii=False))
        return
    for person in people:
        typer.echo(f"{person['nhsNumber']}  {person['birthDate']}  {person['name']:<18} {person['story']}")


@policy.command("matrix")
def policy_matrix(
    policies: Annotated[Path | None, typer.Option(help="The folder of policies; the shipped ones by default.")] = None,
) -> None:
    """Print who sees what, generated from the policies."""
    from gateway.policy.decide import Policy
    from gateway.policy.matrix import matrix
    from gateway.settings import Settings

    typer.echo(matrix(Policy.load(policies or Settings.model_fields["policies_dir"].default)))


policy.command("diff")(policy_diff)
app.command()(doctor)
app.command()(reload)


@keys.command("new")
def keys_new(file: Annotated[Path, typer.Argument(help="Where to write it; never over an existing file.")]) -> None:
    """Make a master key that only its owner can read."""
    from gateway.sealed import new_master_key

    try:
        new_master_key(file)
    except FileExistsError:
        _stop(f"{file} exists already. A new key would make every sealed id and patient tag unreadable.")


@app.command()
def openapi(
    place: Annotated[Path, typer.Argument(help="A folder for both contracts; or a file: one, by its name.")],
    release: Annotated[bool, typer.Option(help="Keep them as released too: later ones mustn't break them.")] = False,
) -> None:
    """Write the OpenAPI contracts: connect-care.json (our own API) and fhir-r4.json (the FHIR API)."""
    from gateway.app import contracts, create_app
    from gateway.contracts.published import keep
    from gateway.settings import load_settings

    values: dict[str, Any] = {
        "profile": "demo",
        "public_url": "http://127.0.0.1:8000",
        "data_dir": Path("."),
        "key_file": Path("unused"),
        "issuers": [{"issuer": "https://issuer.example", "audience": "connect-care", "algorithms": ["ES256"]}],
    }
    keep(place, contracts(create_app(load_settings(None, **values))), release=release)


if __name__ == "__main__":
    main()

"""The command line of `connectcare audit`. Each module beside this one holds a command and imports what it needs when
it runs: `connectcare demo token` is typed between two curls, and must not wait for a database driver."""

from __future__ import annotations

import typer

from gateway.audit_commands import signing
from gateway.audit_commands.check_report import check_report
from gateway.audit_commands.erase import erase, retain
from gateway.audit_commands.explain import explain
from gateway.audit_commands.export import checkpoints, export
from gateway.audit_commands.followers import followers
from gateway.audit_commands.prove import consistency, prove
from gateway.audit_commands.report import report
from gateway.audit_commands.shown import shown
from gateway.audit_commands.verify import verify

app = typer.Typer(no_args_is_help=True, help="Verify, prove, export, report on, replay and prune the audit journal.")

app.command("verify")(verify)
app.command("prove")(prove)
app.command("consistency")(consistency)
app.command("checkpoints")(checkpoints)
app.command("export")(export)
app.command("erase")(erase)
app.command("retain")(retain)
app.add_typer(signing.key, name="key")
app.command("signer")(signing.signer)
app.command("shown")(shown)
app.command("explain")(explain)
app.command("followers")(followers)
app.command("report")(report)
app.command("check-report")(check_report)

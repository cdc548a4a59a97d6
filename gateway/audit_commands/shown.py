"""`connectcare audit shown`: is this what that person saw?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.audit.row import Who
    from gateway.audit.shown import Found
    from gateway.store.interface import Kept

_WORDS: Final = {
    "shown": "yes, just this was shown",
    "shown-differently": "this resource was shown, but differently",
    "not-shown": "no, this resource wasn't shown in this request",
    "not-clinical": "written by Connect Care itself (or no clinical resource): not held against anything",
}


def shown(
    request_id: Annotated[str, typer.Argument(help="The X-Request-ID of the answer.")],
    file: Annotated[
        Path, typer.Argument(help="A resource as JSON, or a Bundle or an event stream as it was received.")
    ],
    key_file: Annotated[Path, typer.Option(help="The master key: without it nothing can be held against a digest.")],
    data: Annotated[Path | None, typer.Option(help="The gateway's data folder.")] = None,
    database: Annotated[str | None, typer.Option(help="Or its PostgreSQL URL.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Say of each resource in FILE whether just this rendering was shown in a request.

    White space may differ; digits, units, codes, dates and the order of elements may not. Exit code 0 where all of it
    was shown, 1 where some wasn't or was shown differently, 2 where that can't be told.
    """
    import asyncio

    from gateway.audit.shown import Verdict, compare, counts, read_resources
    from gateway.audit_commands.reading import request_rows, trouble
    from gateway.sealed import Sealer, load_master_key

    with trouble():
        resources = read_resources(file.read_bytes())
        sealer = Sealer(load_master_key(key_file))
        kept = asyncio.run(request_rows(request_id, data, database, sealer=sealer))
        found = compare(resources, kept, sealer)
        if counts(found)[Verdict.NOT_CLINICAL] == len(found):
            raise ValueError(f"{file} holds no clinical resource. Give what the gateway answered.")
    typer.echo(_as_json(found, kept) if as_json else _as_text(found, kept))
    raise typer.Exit(1 if any(each.verdict in (Verdict.DIFFERENT, Verdict.NOT_SHOWN) for each in found) else 0)


def _as_text(found: Sequence[Found], kept: Sequence[Kept]) -> str:
    from gateway.audit.shown import SHOWING, counts

    lines = [
        f"row {each.seq}: {each.row.kind}, {each.row.at.isoformat()}, {_name(each.row.who)}, {each.row.door}"
        for each in kept
        if each.row.kind in SHOWING
    ]
    for each in found:
        where = f" (row {', '.join(map(str, each.rows))})" if each.rows else ""
        lines.append(f"{each.reference}: {_WORDS[each.verdict]}{where}")
    lines.append(", ".join(f"{count} {verdict}" for verdict, count in counts(found).items() if count))
    lines.append("Whether the rows themselves are as they were written: connectcare audit verify.")
    return "\n".join(lines)


def _name(who: Who | None) -> str:
    return f"{who.name} ({who.role}, {who.organisation_name})" if who else "nobody who is known"


def _as_json(found: Sequence[Found], kept: Sequence[Kept]) -> str:
    import msgspec

    from gateway.audit.shown import SHOWING, counts

    answer = {
        "rows": [
            {"seq": each.seq, "kind": each.row.kind, "at": each.row.at, "who": each.row.who, "door": each.row.door}
            for each in kept
            if each.row.kind in SHOWING
        ],
        "resources": [{"resource": each.reference, "verdict": each.verdict.value, "rows": each.rows} for each in found],
        "counts": {verdict.value: count for verdict, count in counts(found).items()},
    }
    return msgspec.json.format(msgspec.json.encode(answer), indent=2).decode()

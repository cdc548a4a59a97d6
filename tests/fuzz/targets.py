"""What is fuzzed: five readers of what others write. Each takes any bytes, and raises for nothing but a fault of ours.

A target is more than "it doesn't crash": what is accepted must also mean what it says.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Final

from connectors.sdk.number import read_number
from gateway.audit.log.note import PublicKey
from gateway.audit.verify.exported import CHECKPOINTS, KEY, RECORDS, ExportPlace
from gateway.audit.verify.run import Order, verify
from gateway.caller.compact import Malformed, decode_base64url, parse_compact
from gateway.caller.settings import IssuerSettings
from gateway.caller.tokens import _check_claims, _check_header
from gateway.errors import GatewayError
from gateway.policy.files import PolicyProblem
from gateway.policy.labels import LabelTables
from gateway.search.everything import parse_everything
from gateway.search.pairs import pairs_of
from gateway.search.parse import parse, parse_read
from gateway.search.person import parse_person
from gateway.search.query import Continuation, Query
from gateway.search.table import SHOWN_TYPES
from tests.connectors.stu3.test_translation import check

PATIENT: Final = "9990000018"
JOURNAL: Final = Path(__file__).with_name("journal")
ROWS: Final = "rows-000000000001.jsonl"
_FILES: Final = (ROWS, CHECKPOINTS, RECORDS)
_ISSUER: Final = IssuerSettings(issuer="https://issuer.example", audience="connect-care", algorithms=("ES256",))
_NOW: Final = 1_795_000_000.0
_LONGEST_JSON: Final = 20_000


def stu3(data: bytes) -> None:
    """The mapper: a list of STU3 resources. Nothing raises, nothing is lost, and what it became can be shown."""
    try:
        sent = json.loads(data[:_LONGEST_JSON], parse_float=read_number, parse_constant=_refused)
    except (ValueError, RecursionError):
        return
    check(sent if isinstance(sent, list) else [sent])


def _refused(text: str) -> Any:
    raise ValueError(text)


def search(data: bytes) -> None:
    """The parser: a byte that says the type and the door, then a query. What it takes means the same when repeated."""
    if len(data) < 2:
        return
    kind, door = SHOWN_TYPES[data[0] % len(SHOWN_TYPES)], data[0] // len(SHOWN_TYPES) % 5
    try:
        pairs = pairs_of(data[1:])
        parsed = _parsed(kind, door, pairs)
    except GatewayError:
        return
    if isinstance(parsed, Query):
        again = _parsed(kind, door, parsed.pairs)
        assert again == parsed, (again, parsed)
        assert parsed.resource_type == kind or parsed.everything
        assert parsed.count is None or 0 <= parsed.count <= 1000


def _parsed(kind: str, door: int, pairs: Any) -> Any:
    if door == 0:
        return parse(kind, pairs)
    if door == 1 and kind != "Patient":
        query = parse(kind, pairs, patient=PATIENT)
        assert isinstance(query, Continuation) or query.patient == PATIENT
        return None
    if door == 2:
        return parse_everything(PATIENT, pairs)
    if door == 3:
        return parse_read(kind, pairs)
    return parse_person(pairs)


def token(data: bytes) -> None:
    """The token's form, header and claims: what is taken is what its one spelling says, and JSON reads it alike."""
    text = data.decode("utf-8", "replace")
    try:
        compact = parse_compact(text)
    except Malformed:
        return
    header, claims, signature = text.split(".")
    assert json.loads(decode_base64url(header)) == compact.header
    assert json.loads(decode_base64url(claims)) == compact.claims
    decode_base64url(signature)
    try:
        algorithm, kid = _check_header(compact.header, _ISSUER)
        _check_claims(compact.claims, _ISSUER, _NOW)
    except GatewayError:
        return
    assert algorithm == "ES256"
    assert kid is None or isinstance(kid, str)
    assert compact.claims["exp"] > _NOW


def labels(data: bytes) -> None:
    """A label table that somebody supplied, as YAML or CSV: taken with labels that there are, or refused in words."""
    if not data:
        return
    table = LabelTables({"HIV": "HIV", "RESTRICTED": "Restricted"})
    suffix, add = ((".csv", table._add_csv), (".yaml", table._add_table))[data[0] % 2]
    path = _place() / f"table{suffix}"
    path.write_bytes(data[1:])
    try:
        add(path)
    except PolicyProblem:
        return
    given = table.given()
    assert given or not table.loaded()[0].count
    for (_, system, code), found in given.items():
        assert isinstance(system, str)
        assert isinstance(code, str)
        assert code
        assert found
        assert found <= table.vocabulary


def journal(data: bytes) -> None:
    """An exported journal of which one file was altered: its verification ends, and holds only where nothing was."""
    if not data:
        return
    name = _FILES[data[0] % len(_FILES)]
    folder, order = _copied()
    (folder / name).write_bytes(data[1:])
    try:
        report = verify(order)
    finally:
        shutil.copyfile(JOURNAL / name, folder / name)
    if report.holds:
        assert _lines(data[1:], name) == _lines((JOURNAL / name).read_bytes(), name), "it was altered, and holds"


def _lines(content: bytes, name: str) -> Any:
    lines = [json.loads(line) for line in content.splitlines() if line.strip()]
    return lines if name == ROWS else sorted(lines, key=lambda line: json.dumps(line, sort_keys=True))


@cache
def _place() -> Path:
    return Path(tempfile.mkdtemp(prefix="connect-care-fuzz-"))


@cache
def _copied() -> tuple[Path, Order]:
    folder = _place() / "journal"
    shutil.copytree(JOURNAL, folder)
    public = PublicKey.parse((folder / KEY).read_text().strip())
    newest = datetime(2030, 1, 1, tzinfo=UTC)
    return folder, Order(ExportPlace(folder), public, newest, signed_within=timedelta(days=36_500), processes=1)


TARGETS: Final[Mapping[str, Callable[[bytes], None]]] = {
    "stu3": stu3,
    "search": search,
    "token": token,
    "labels": labels,
    "journal": journal,
}

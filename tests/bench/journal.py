"""`python -m tests.bench.journal [FOLDER]`: what the journal costs, a release at 200 records a second, on a short
journal and on one of a million rows.

One process, one worker, SQLite, checkpoints signed as a gateway signs them. Arrivals are open loop: they come at their
own time, however long the ones before them take. The long journal takes minutes to make, and is kept where a folder is
named: the next run on it measures at once. Exits 1 where the promise isn't kept.
"""

from __future__ import annotations

import asyncio
import gc
import random
import secrets
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Final

import msgspec

from gateway.audit.checkpoints import Checkpointer
from gateway.audit.log.signer import LocalSigner
from gateway.audit.row import Kind, Row, SourceLine, Who
from gateway.choice.model import Basis, Permission, Scope
from gateway.store.folder import DATABASE
from gateway.store.interface import Store
from gateway.store.moments import utc_now
from gateway.store.sqlite import SqliteStore
from tests.bench.long_store import long_store
from tests.journals import Facts

SIZES: Final = (1_000, 1_000_000)
PER_SECOND: Final = 200
SECONDS: Final = 30
PATIENTS: Final = 400
RESOURCES: Final = 303
CHECKPOINT_SECONDS: Final = 10.0
MOST_P99_MS: Final = 15.0
MOST_GROWTH: Final = 1.25
"""What a row may cost on the long journal, as a ratio to the short one: beyond a busy machine's own noise."""

_WHO: Final = Who(
    issuer="https://issuer.example",
    user_id="555000000001",
    name="BENCH Ada Dr",
    role_profile_id="555100000001",
    job_role_code="R0260",
    role="gp",
    organisation="G85005",
    organisation_name="A practice",
    organisation_type="gp-practice",
    client_id="viewer",
    purpose="TREAT",
    acr="AAL3",
    token_id="token",
)


def run(kept: Path | None = None) -> dict[str, Any]:
    """Figures by size of the journal, and how the long one compares with the short one. `kept` is the folder that the
    long one stays in."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="connectcare-bench-journal-") as name:
        for size, folder in zip(SIZES, (Path(name) / "short", kept or Path(name) / "long"), strict=True):
            facts = long_store(folder, size, patients=max(100, size // 20), checkpoint_every=5_000)
            found[str(size)] = asyncio.run(_measured(facts))
    short, long = (found[str(size)] for size in SIZES)
    found["growth"] = {
        "cpu_per_row": round(long["cpu_us_per_row"] / short["cpu_us_per_row"], 3),
        "release_p50": round(long["release_p50_ms"] / short["release_p50_ms"], 3),
    }
    return found


def is_kept(found: dict[str, Any]) -> bool:
    """Whether the promise is kept."""
    quick = all(found[str(size)]["release_p99_ms"] <= MOST_P99_MS for size in SIZES)
    return quick and found["growth"]["cpu_per_row"] <= MOST_GROWTH


async def _measured(facts: Facts) -> dict[str, Any]:
    store = SqliteStore(facts.folder)
    signer = LocalSigner(facts.key, facts.folder / "last.note")
    checkpointer = Checkpointer(store, signer, utc_now, CHECKPOINT_SECONDS)
    run_id = secrets.token_hex(4)
    try:
        permissions = [await granted(store, run_id, number) for number in range(PATIENTS)]
        gc.collect()
        gc.freeze()  # as a gateway does with what was made at start-up
        checkpointer.start()
        before = time.process_time()
        waited = await _arrivals(store, permissions)
        spent = time.process_time() - before
        log = (facts.folder / "store" / f"{DATABASE}-wal").stat().st_size
    finally:
        gc.unfreeze()
        await checkpointer.aclose()
        await store.aclose()
    return {
        "releases": len(waited),
        "release_p50_ms": round(median(waited), 2),
        "release_p99_ms": round(quantiles(waited, n=100)[98], 2),
        "log_mb": round(log / 2**20, 1),
        "cpu_us_per_row": round(spent * 1_000_000 / (2 * len(waited)), 1),
    }


async def _arrivals(store: SqliteStore, permissions: list[Permission]) -> list[float]:
    rng, start = random.Random(11), time.perf_counter()
    tasks = []
    for number in range(PER_SECOND * SECONDS):
        due = start + number / PER_SECOND
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        permission = rng.choice(permissions)
        tasks.append(asyncio.create_task(look(store, permission, f"bench-{number}", rng)))
    return await asyncio.gather(*tasks)


async def look(store: Store, permission: Permission, request_id: str, rng: random.Random) -> float:
    """Milliseconds that the release took, its waiting for others included."""
    intent = await store.append(_row(Kind.INTENT, permission, request_id))
    row = _release(permission, request_id, intent, rng)
    started = time.perf_counter()
    await store.release(row)
    return (time.perf_counter() - started) * 1000


async def granted(store: Store, run_id: str, number: int) -> Permission:
    """A permission of one of the patients, as the store has it."""
    now = datetime.now(UTC)
    permission = Permission(
        id=f"bench-{run_id}-{number}",
        patient=sha256(number.to_bytes(4)).hexdigest(),
        sealed_patient=f"sealed-{number}",
        caller=_WHO.key,
        organisation=_WHO.organisation,
        basis=Basis.PATIENT_AGREED,
        scope=Scope.STANDARD,
        reason="",
        granted_at=now,
        expires_at=now + timedelta(hours=8),
    )
    await store.grant(permission, _row(Kind.PERMISSION_GRANTED, permission, f"grant-{run_id}-{number}"))
    return permission


def _row(kind: Kind, permission: Permission, request_id: str) -> Row:
    return Row(
        kind=kind,
        request_id=request_id,
        at=datetime.now(UTC),
        door="GET /fhir/R4/Patient/{id}/$everything",
        who=_WHO,
        patient=permission.patient,
        sealed_patient=permission.sealed_patient,
        permission=permission.id,
        basis=permission.basis.value,
        scope=permission.scope.value,
    )


def _release(permission: Permission, request_id: str, intent: int, rng: random.Random) -> Row:
    """As large as the row of a whole record."""
    digests = [rng.randbytes(7).hex() for _ in range(RESOURCES)]
    return msgspec.structs.replace(
        _row(Kind.RELEASE, permission, request_id),
        status=200,
        intent=intent,
        sources={ods: SourceLine(outcome="answered", took_ms=50.1) for ods in ("RJ2", "G85005", "RPG")},
        seen={"results": 110, "contacts": 60, "medicines": 84, "problems": 21, "allergies": 9, "immunisations": 6},
        seen_ids={"a" * 39: digests},
        sent={"a" * 39: [digest + "aa" for digest in digests]},
        policy_hash="5f" * 32,
        relationship="registered-practice",
    )


def told(found: dict[str, Any]) -> None:
    """Print the figures."""
    for name, seen in found.items():
        print(f"{'journal ' + name:<24} {seen}")
    promise = f"a release at most {MOST_P99_MS:g} ms at p99, and a row costs no more on a long journal"
    print(f"journal: {'kept' if is_kept(found) else 'NOT KEPT'}: {promise}")


if __name__ == "__main__":
    figures = run(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
    told(figures)
    sys.exit(not is_kept(figures))

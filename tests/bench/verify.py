"""`python -m tests.bench.verify [ROWS] [FOLDER]`: how long a journal takes to verify, a million rows by default.

The store is made first, which takes longer (some 4,000 rows a second), and kept where a folder is named: a second run
on it only verifies. Exits 1 where the store doesn't hold, or a million rows take more than a minute.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

from gateway.audit.verify.run import Order, verify
from gateway.audit.verify.sqlite_evidence import SqlitePlace
from gateway.store.folder import DATABASE
from tests.bench.long_store import long_store

ROWS = 1_000_000
PATIENTS = 50_000
CHECKPOINT_EVERY = 100
MOST_SECONDS = 60.0
"""For a million rows."""


def cpu_seconds() -> float:
    """Of this process, and of those that it has waited for."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)


def bench(folder: Path, rows: int) -> bool:
    """Verify once, and say what it took; returns whether the store holds and, where it's that long, in time."""
    facts = long_store(folder, rows, patients=PATIENTS, checkpoint_every=CHECKPOINT_EVERY)
    started, used = time.monotonic(), cpu_seconds()
    report = verify(Order(SqlitePlace(folder), facts.public, facts.ended))
    took, used = time.monotonic() - started, cpu_seconds() - used
    size = (folder / "store" / DATABASE).stat().st_size / 2**20
    print(report.told())
    print(f"{facts.size:,} rows ({size:,.0f} MiB): {took:.1f} s, {used:.1f} s of processor time")
    if facts.size < ROWS:
        return report.holds
    in_time = took <= MOST_SECONDS * facts.size / ROWS
    print(f"verify: {'kept' if in_time else 'NOT KEPT'}: a million rows in {MOST_SECONDS:g} s at most")
    return report.holds and in_time


if __name__ == "__main__":
    chosen = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    with tempfile.TemporaryDirectory(prefix="connectcare-bench-") as temporary:
        try:
            held = bench(Path(sys.argv[2] if len(sys.argv) > 2 else temporary), chosen)
        except ValueError as error:
            sys.exit(str(error))
    sys.exit(not held)

"""`python -m tests.bench.verify [ROWS] [FOLDER]`: how long a journal takes to verify, a million rows by default.

The store is made first, which takes longer (some 4,000 rows a second), and kept where a folder is named: a second run
on it only verifies.
"""

from __future__ import annotations

import pickle
import resource
import sys
import tempfile
import time
from pathlib import Path

from gateway.audit.verify.run import Order, verify
from gateway.audit.verify.sqlite_evidence import SqlitePlace
from tests.journals import Facts, make_store

ROWS = 1_000_000
PATIENTS = 50_000
CHECKPOINT_EVERY = 100


def made(folder: Path, rows: int) -> Facts:
    """The store that is there, or a new one."""
    kept = folder / "facts.pickle"
    if not kept.exists():
        kept.write_bytes(pickle.dumps(make_store(folder, rows, PATIENTS, 7, checkpoint_every=CHECKPOINT_EVERY)))
    facts: Facts = pickle.loads(kept.read_bytes())
    return facts


def cpu_seconds() -> float:
    """Of this process, and of those that it has waited for."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)


def bench(folder: Path, rows: int) -> None:
    """Verify once, and say what it took."""
    facts = made(folder, rows)
    started, used = time.monotonic(), cpu_seconds()
    report = verify(Order(SqlitePlace(folder), facts.public, facts.ended))
    took, used = time.monotonic() - started, cpu_seconds() - used
    size = (folder / "store" / "connect-care.sqlite3").stat().st_size / 2**20
    print(report.told())
    print(f"{facts.size:,} rows ({size:,.0f} MiB): {took:.1f} s, {used:.1f} s of processor time")


if __name__ == "__main__":
    chosen = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    if len(sys.argv) > 2:
        Path(sys.argv[2]).mkdir(parents=True, exist_ok=True)
        bench(Path(sys.argv[2]), chosen)
    else:
        with tempfile.TemporaryDirectory(prefix="connectcare-bench-") as temporary:
            bench(Path(temporary), chosen)

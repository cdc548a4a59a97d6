"""Stores of many rows that benches keep from one run to the next: a million rows take minutes to make."""

from __future__ import annotations

import os
import pickle
import shutil
from dataclasses import replace
from pathlib import Path

from tests.journals import Facts, make_store

_FACTS = "facts.pickle"
_MOST_MORE = 10
"""Rows that the last look of a store may bring beyond those that were asked for."""


def long_store(folder: Path, rows: int, *, patients: int, checkpoint_every: int) -> Facts:
    """The store in `folder`, made if none that was finished is there. All of it is on the disk: what the kernel still
    had to write would be measured with whatever flushes next.

    Raises ValueError where the folder holds something else, or a store of another size.
    """
    finished = folder / _FACTS
    if not finished.exists():
        _make(folder, rows, patients, checkpoint_every)
    facts: Facts = pickle.loads(finished.read_bytes())
    if not rows <= facts.size < rows + _MOST_MORE:
        raise ValueError(f"The store in {folder} has {facts.size:,} rows: name another folder for {rows:,}.")
    return replace(facts, folder=folder)


def _make(folder: Path, rows: int, patients: int, checkpoint_every: int) -> None:
    if {path.name for path in folder.glob("*")} - {"store"}:
        raise ValueError(f"The folder {folder} holds something else: name an empty one, or one that isn't there.")
    shutil.rmtree(folder / "store", ignore_errors=True)  # of a run that was ended before its time
    facts = make_store(folder, rows, patients, seed=7, checkpoint_every=checkpoint_every)
    os.sync()
    part = folder / f"{_FACTS}.part"
    part.write_bytes(pickle.dumps(facts))
    part.rename(folder / _FACTS)

"""How good the policy's tests are: `python -m tests.mutation [--sample N] [--minutes M] [--seed S] [MODULE...]`.

Prints each change that no test noticed, and the score; the exit code is 1 under 95 %. What is listed in
`equivalent.yaml` changes nothing that anybody could see, with the reason, and isn't counted.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ruamel.yaml import YAML

from tests.mutation.mutants import Mutant, mutants
from tests.mutation.trial import import_all, survives

ASKED: Final = 0.95
_P: Final = "tests/policies/test_"
FIRST: Final = {
    "gateway.policy.decide": ("loading", "told", "labels", "filter", "disclosures"),
    "gateway.policy.filter": ("filter", "filter_scopes", "narrative"),
    "gateway.policy.labels": ("labels", "loading"),
}
"""By module, the tests that know it best: most mutants go no further."""
THEN: Final = ("cases", "table", "properties", "told", "loading", "labels", "disclosures", "archive")
EQUIVALENT: Final = Path(__file__).with_name("equivalent.yaml")


def equivalents() -> dict[str, str]:
    """`module function: what` -> why nobody could see it."""
    return dict(YAML(typ="safe").load(EQUIVALENT) or {})


def key_of(module: str, mutant: Mutant) -> str:
    """What `equivalent.yaml` calls it: no line, so that it lasts."""
    return f"{module} {mutant.function}: {mutant.what}"


def chosen(modules: Sequence[str], sample: int | None, seed: int) -> list[tuple[str, Mutant]]:
    """All of them, or so many by chance."""
    known = equivalents()
    found = []
    for name in modules:
        source = Path(importlib.import_module(name).__file__ or "").read_text()
        found += [(name, mutant) for mutant in mutants(source) if key_of(name, mutant) not in known]
    return found if sample is None else random.Random(seed).sample(found, min(sample, len(found)))


def is_killed(name: str, mutant: Mutant) -> bool:
    """By the tests that know the module best, by any other of the policy's, or by those that are slow."""
    module = importlib.import_module(name)
    code = mutant.code(module.__file__ or "")
    first = [f"{_P}{test}.py" for test in FIRST[name]]
    rest = [f"{_P}{test}.py" for test in THEN if test not in FIRST[name]]
    every = [f"{_P}{test}.py" for test in THEN]
    return not (
        survives(module, mutant.function, code, first)
        and survives(module, mutant.function, code, rest)
        and survives(module, mutant.function, code, every, slow=True)
    )


def main() -> int:
    """0 where the score is what is asked."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation")
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=f"of {', '.join(FIRST)}; all of them")
    parser.add_argument("--sample", type=int, help="so many by chance, instead of all")
    parser.add_argument("--minutes", type=float, default=240, help="stop after so long (240)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if unknown := set(options.modules) - FIRST.keys():
        parser.error(f"{', '.join(sorted(unknown))} isn't judged here")
    modules = options.modules or list(FIRST)
    every = sorted({f"{_P}{test}.py" for tests in (*FIRST.values(), THEN) for test in tests})
    import_all(every)
    first = sorted({f"{_P}{test}.py" for name in modules for test in FIRST[name]})
    if not survives(importlib.import_module("gateway.policy.decide"), "", None, first):
        print("the tests fail as it is: mend them first")
        return 2
    return _report(chosen(modules, options.sample, options.seed), options.minutes)


def _report(todo: Sequence[tuple[str, Mutant]], minutes: float) -> int:
    until, tried, survivors = time.monotonic() + minutes * 60, 0, 0
    with contextlib.suppress(KeyboardInterrupt):  # whoever has seen enough is told of what was tried
        for name, mutant in todo:
            if time.monotonic() > until:
                break
            if not is_killed(name, mutant):
                survivors += 1
                print(f"survived: {name} {mutant}", flush=True)
            tried += 1
    score = (tried - survivors) / tried if tried else 0.0
    print(f"{tried} of {len(todo)} mutants tried, {survivors} survived: {score:.1%} ({ASKED:.0%} asked)", flush=True)
    return 0 if score >= ASKED else 1


if __name__ == "__main__":
    sys.exit(main())

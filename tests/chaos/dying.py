"""`connectcare`, but the process dies by SIGKILL when a look reaches one step of the pipeline for the nth time.

CHAOS_STEP=guard.guard:after CHAOS_COUNT=12 python -m tests.chaos.dying serve …

A step is `place:when`, of those in `STEPS`; `before` is as the step begins, `after` as it ends.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import itertools
import os
import signal
from collections.abc import Callable
from typing import Any, Final

STEP: Final = "CHAOS_STEP"
COUNT: Final = "CHAOS_COUNT"

STEPS: Final = {
    "caller": ("gateway.record", "Records._caller"),
    "intent": ("gateway.audit.journal", "Journal.intend"),
    "choice": ("gateway.choice.sharing", "SharingChoices.require_opted_in"),
    "permission": ("gateway.choice.permission", "Permissions.require"),
    "locate": ("gateway.locate", "Locator.locate"),
    "fan-out": ("gateway.fan_out", "FanOut.ask"),
    "guard": ("gateway.guard", "guard"),
    "merge": ("gateway.merge", "Merger.merge"),
    "policy": ("gateway.view", "View.of"),
    "search": ("gateway.api.questions", "Bundled.search"),
    "last-check": ("gateway.store.last_check", "release_objection"),
    "commit": ("gateway.store.writer", "Writer._commit"),
    "release": ("gateway.release", "release"),
}
"""Where each step of `gateway/record.py` is done: (module, function). `last-check` and `commit` are inside the last."""


def points() -> list[str]:
    """Every moment at which a process can be told to die."""
    return [f"{place}:{when}" for place in STEPS for when in ("before", "after")]


def plant(point: str, count: int) -> None:
    """Wrap the step's function. Raises AttributeError for one that isn't there any more."""
    place, _, when = point.partition(":")
    owner, name = _owner(place)
    setattr(owner, name, dying(getattr(owner, name), when, count))
    if place == "last-check":  # the store has taken the name into its own module
        for importer in ("gateway.store.sqlite", "gateway.store.postgres"):
            _replace_in(importer, name, getattr(owner, name))


def found(point: str) -> Any:
    """The function of a point. Raises AttributeError where it isn't there any more."""
    owner, name = _owner(point.partition(":")[0])
    return getattr(owner, name)


def _owner(place: str) -> tuple[Any, str]:
    module_name, path = STEPS[place]
    *outer, name = path.split(".")
    return functools.reduce(getattr, outer, importlib.import_module(module_name)), name


def _replace_in(importer: str, name: str, function: Callable[..., Any]) -> None:
    module = importlib.import_module(importer)
    if hasattr(module, name):
        setattr(module, name, function)


def dying(step: Callable[..., Any], when: str, count: int) -> Callable[..., Any]:
    """The step, deadly at its `count`th time."""
    passes = itertools.count(1)

    def die_if_due() -> None:
        if next(passes) == count:
            os.kill(os.getpid(), signal.SIGKILL)

    if inspect.iscoroutinefunction(step):

        @functools.wraps(step)
        async def awaited(*args: Any, **kwargs: Any) -> Any:
            if when == "before":
                die_if_due()
            result = await step(*args, **kwargs)
            if when == "after":
                die_if_due()
            return result

        return awaited

    @functools.wraps(step)
    def called(*args: Any, **kwargs: Any) -> Any:
        if when == "before":
            die_if_due()
        result = step(*args, **kwargs)
        if when == "after":
            die_if_due()
        return result

    return called


if __name__ == "__main__":
    from gateway.cli import main

    plant(os.environ[STEP], int(os.environ[COUNT]))
    main()

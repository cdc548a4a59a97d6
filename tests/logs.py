"""The process's logging, left as it was found."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from gateway import log

_NAMES: Final = ("", "connect-care", "uvicorn", "uvicorn.error", "uvicorn.access", "py.warnings")


@contextmanager
def untouched() -> Iterator[None]:
    """Whatever is set up inside the block is undone after it: handlers, levels, hooks."""
    restores = [_remembered(name) for name in _NAMES]
    hooks = sys.excepthook, threading.excepthook, sys.unraisablehook, log._Strictness.raises
    try:
        yield
    finally:
        for restore in restores:
            restore()
        sys.excepthook, threading.excepthook, sys.unraisablehook, log._Strictness.raises = hooks
        logging.captureWarnings(False)


def _remembered(name: str) -> Callable[[], None]:
    logger = logging.getLogger(name)
    handlers, level, propagate, disabled = logger.handlers[:], logger.level, logger.propagate, logger.disabled

    def restore() -> None:
        logger.handlers[:] = handlers
        logger.setLevel(level)
        logger.propagate, logger.disabled = propagate, disabled

    return restore

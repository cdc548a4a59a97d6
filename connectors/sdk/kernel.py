"""Which reader of FHIR JSON runs: the native kernel where it is built, or the Python of `bundle.py` alone.

The Python is the reference and the fallback. The kernel (Rust, `kernel/`) reads only what is well in every way, and
hands everything else back unread; so with it or without it the same bodies are read, and the same are refused
(docs/decisions/0020-native-kernel.md). Nothing else may know that it exists.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final, Literal, NamedTuple, Protocol

from connectors.sdk.errors import ConfigurationError
from connectors.sdk.model import Findings, Resource
from connectors.sdk.nhs_number import means_nhs_number
from connectors.sdk.number import read_number
from connectors.sdk.tables import tables

Choice = Literal["auto", "native", "python"]
NATIVE: Final = "native"
PYTHON: Final = "python"
_MODULE: Final = "connect_care_kernel"


class Reader(Protocol):
    """What the kernel offers. Each answers None for a body that isn't well in every way; none raises for what a source
    sent."""

    def bundle(self, body: bytes, most: int) -> dict[str, Any] | None:
        """A Bundle of at most so many resources; each entry's `resource` is a pair, the resource and its findings."""
        ...

    def resource(self, body: bytes) -> tuple[Resource, Findings] | None:
        """One resource, its contained ones unchecked."""
        ...

    def object(self, body: bytes) -> Resource | None:
        """A JSON object of no shape that is known."""
        ...


class _Outside(NamedTuple):
    """What the kernel asks Python for."""

    read_number: Any
    means_nhs_number: Any
    findings: Any


class NoKernel(ConfigurationError):
    """The native kernel was asked for, and isn't built here. The text says what to do."""


class _Chosen:
    reader: Reader | None = None
    made = False


def choose(choice: Choice) -> str:
    """Have this reader run from now on; returns which it is. Raises NoKernel."""
    if choice == NATIVE and not is_built():
        raise NoKernel("The native kernel isn't built here. Build it (make kernel), or set kernel: auto.")
    _Chosen.reader = None if choice == PYTHON or not is_built() else _native()
    _Chosen.made = True
    return running()


def running() -> str:
    """`native` or `python`."""
    return PYTHON if reader() is None else NATIVE


def reader() -> Reader | None:
    """The native kernel, or None where the Python runs. Nobody chose: the kernel where it is built."""
    if not _Chosen.made:
        choose("auto")
    return _Chosen.reader


@lru_cache(maxsize=1)
def is_built() -> bool:
    """True where the kernel's module is installed."""
    return find_spec(_MODULE) is not None


@lru_cache(maxsize=1)
def _native() -> Reader:
    nodes, roots = tables()
    made: Reader = import_module(_MODULE).Kernel(nodes, roots, _Outside(read_number, means_nhs_number, Findings))
    return made

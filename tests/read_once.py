"""The same YAML text, and what a sandbox holds, are read once in a test run.

Thousands of tests put a gateway together from the same files, and reading those would be most of what each costs.
Production doesn't remember: its memory is worth more than its start. Nobody writes to what a sandbox holds.
"""

from __future__ import annotations

from copy import deepcopy
from functools import cache, lru_cache
from typing import Any

from ruamel.yaml import YAML

from connectors.fhir_r4 import sandbox
from connectors.sdk import file_faults
from gateway.policy import files


class Remembering(YAML):
    """As YAML; of a text that was read before, a copy. What can't be read isn't remembered."""

    def load(self, stream: Any) -> Any:
        if not isinstance(stream, str):
            return super().load(stream)
        return deepcopy(_read(stream, *self.typ, pure=self.pure))


@lru_cache(maxsize=256)
def _read(text: str, *typ: str, pure: bool) -> Any:
    return YAML(typ=list(typ), pure=pure).load(text)


def install() -> None:
    """For the rest of the process."""
    if not hasattr(sandbox.holdings, "cache_info"):
        sandbox.holdings = cache(sandbox.holdings)
    for module in (file_faults, files):
        if module.YAML is not Remembering:
            module.YAML = Remembering  # type: ignore[attr-defined]

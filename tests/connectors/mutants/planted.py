"""Every mutant, in the order in which they are written. A name begins with the number of the case that it must fail."""

from __future__ import annotations

import inspect
from types import ModuleType

from connectors.kit.cases import ALL
from tests.connectors.mutants import answers, bodies, endings, refusals
from tests.connectors.mutants.reference import Reference


def _planted(module: ModuleType) -> list[type[Reference]]:
    named = (one for name, one in vars(module).items() if name[:3] in ALL)
    return [one for one in named if inspect.isclass(one) and issubclass(one, Reference)]


MUTANTS = [one for module in (answers, refusals, bodies, endings) for one in _planted(module)]

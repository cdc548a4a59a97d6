"""The kit catches each planted fault: every mutant fails the case that it is named for, and no other."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from connectors.fhir_r4.sandbox.holdings import Holdings
from connectors.kit.bodies import gzip_bomb
from connectors.kit.cases import ALL
from connectors.kit.check import check
from tests.connectors.mutants.endings import close_what_was_left_open
from tests.connectors.mutants.planted import MUTANTS
from tests.connectors.mutants.reference import Reference, held, subject_of
from tests.quick import every

_TOGETHER = 4


BESIDE = [mutant for mutant in MUTANTS if not mutant.alone]
GROUPS = [BESIDE[first : first + _TOGETHER] for first in range(0, len(BESIDE), _TOGETHER)]
GROUPS += [[mutant] for mutant in MUTANTS if mutant.alone]
QUICK = 15
"""Every so many groups run each time; all of them in the slow suite."""


@pytest.fixture(scope="module")
def books() -> Holdings:
    gzip_bomb()  # it takes longer to make than some mutants are patient
    return held()


async def _fallen(mutant: type[Reference], books: Holdings) -> dict[str, str]:
    return {result.number: result.said for result in await check(subject_of(mutant, books)) if not result.passed}


def test_every_case_has_a_mutant_and_every_mutant_says_what_is_wrong_with_it() -> None:
    assert {mutant.__name__[:3] for mutant in MUTANTS} == set(ALL)
    assert len(ALL) >= 25
    assert all(mutant.__doc__ for mutant in MUTANTS)


async def test_the_reference_passes_every_case_and_skips_none(books: Holdings) -> None:
    results = await check(subject_of(Reference, books))
    assert [(result.number, result.said) for result in results if not result.passed or result.skipped] == []
    assert [result.number for result in results] == list(ALL)


@pytest.mark.parametrize("group", every(QUICK, GROUPS), ids=lambda group: "-".join(mutant.__name__ for mutant in group))
async def test_a_mutant_fails_its_own_case_and_no_other(group: Sequence[type[Reference]], books: Holdings) -> None:
    fallen = await asyncio.gather(*(_fallen(mutant, books) for mutant in group))
    await close_what_was_left_open()
    expected = {mutant.__name__: {mutant.__name__[:3]} for mutant in group}
    found = {mutant.__name__: fell for mutant, fell in zip(group, fallen, strict=True)}
    assert {name: set(fell) for name, fell in found.items()} == expected, found

"""No oracle: whatever is asked, what is hidden changes nothing of the answer and nothing of what sources are asked."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator
from itertools import product
from pathlib import Path
from typing import Final

import pytest

from tests.figures import Figure
from tests.flow.stack import DANIEL, GRACE, MIA, SIOBHAN
from tests.flow.test_no_trace import ROLES
from tests.hostile.no_oracle.questions import Asker, Question
from tests.hostile.no_oracle.worlds import Pair, as_role, normalised, worlds
from tests.quick import only

PATIENTS: Final = (DANIEL, SIOBHAN, MIA, GRACE)
MANY: Final = 5_000
FEW: Final = 50


async def feel(pair: Pair, questions: int, seed: int) -> None:
    """Ask as many; somebody must have been shown something, and something must have been hidden."""
    asker = Asker(pair.known, seed)
    while pair.asked < questions:
        await pair.ask(asker.question())


@pytest.fixture(scope="module")
async def daniel(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pair]:
    """Without what nobody is shown who wasn't told about sensitive items."""
    folder: Path = tmp_path_factory.mktemp("oracle")
    async with worlds(folder, DANIEL, ROLES[0], hidden_too=ROLES[1:]) as pair:
        yield pair


@pytest.mark.parametrize("role", only({"social-worker", "gp@G85004"}, ROLES))
async def test_fifty_questions_a_role(daniel: Pair, role: str, figure: Figure) -> None:
    pair = as_role(daniel, role)
    await feel(pair, FEW, seed=ROLES.index(role))
    assert pair.hidden >= 2
    assert pair.statuses[200] > FEW / 5, pair.statuses
    figure(f"{role}: {pair.asked} questions, 0 differences, {pair.hidden} items hidden")


@pytest.mark.slow
@pytest.mark.parametrize(("role", "patient"), list(product(ROLES, PATIENTS)))
async def test_five_thousand_questions_a_role(tmp_path: Path, role: str, patient: str, figure: Figure) -> None:
    async with worlds(tmp_path, patient, role) as pair:
        await feel(pair, MANY // len(PATIENTS), seed=int(patient) + ROLES.index(role))
        assert pair.statuses[200] > pair.asked / 5, pair.statuses
        figure(f"{role}: {pair.asked} questions of one patient, 0 differences, {pair.hidden} items hidden")


async def test_a_difference_is_found(daniel: Pair) -> None:
    """The worlds do differ: who sees what is hidden sees that, and the comparison says so."""
    whole = Question("GET", f"/fhir/R4/Patient/{DANIEL}/$everything")
    for world in (daniel.one, daniel.two):
        await world.stack.agree(DANIEL, "gp", scope="including-sensitive")
    with pytest.raises(AssertionError):
        await as_role(daniel, "gp").ask(whole)


def test_what_is_the_answers_own_is_left_out_and_nothing_else() -> None:
    made = '{"resourceType":"Bundle","id":"%s","meta":{"lastUpdated":"%s"},"total":%d,"link":[{"url":"x?_cursor=%s"}]}'
    first = made % ("0" * 8 + "-0000-4000-8000-" + "0" * 12, "2026-11-23T07:00:00Z", 3, "AbC_-9")
    second = made % ("1" * 8 + "-0000-4000-8000-" + "1" * 12, "2026-11-23T07:00:01Z", 3, "9-_CbA")
    assert normalised(first) == normalised(second)
    assert normalised(first) != normalised(second.replace('"total":3', '"total":4'))
    assert normalised(first) != normalised(second.replace("9-_CbA", "9-_CbA9"))


def test_the_same_seed_asks_the_same(daniel: Pair) -> None:
    first, again = Asker(daniel.known, 7), Asker(copy.deepcopy(daniel.known), 7)
    assert [first.question() for _ in range(200)] == [again.question() for _ in range(200)]
    assert len({one.path.partition("?")[0] for one in (first.question() for _ in range(500))}) > 50

"""Both readers of FHIR JSON: a module that imports `each_reader` runs its tests with the one and with the other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from connectors.sdk import kernel

NOT_BUILT = "the native kernel isn't built here (make kernel, which needs cargo)"
needs_kernel = pytest.mark.skipif(not kernel.is_built(), reason=NOT_BUILT)


@pytest.fixture(autouse=True, scope="module", params=[kernel.PYTHON, pytest.param(kernel.NATIVE, marks=needs_kernel)])
def each_reader(request: pytest.FixtureRequest) -> Iterator[str]:
    """Which of them runs."""
    yield kernel.choose(request.param)
    kernel.choose("auto")

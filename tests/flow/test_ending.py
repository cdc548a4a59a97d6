"""A gateway that was told to end: not ready any more, and still there for whoever asks."""

from __future__ import annotations

import pytest

from tests.flow.stack import GRACE, Stack, told


async def test_a_gateway_that_is_about_to_end_is_not_ready_and_answers(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stack.agree(GRACE)
    assert "Connection" not in (await stack.client.get("/readyz")).headers
    monkeypatch.setattr(stack.app.state.drain, "begun", True)
    probe = await stack.client.get("/readyz")
    assert probe.status_code == 503
    assert "is being stopped" in told(probe)
    assert (await stack.client.get("/livez")).status_code == 200, "or it would be killed before it is done"
    shown = await stack.everything(GRACE)
    assert shown.status_code == 200
    assert {one.headers["Connection"] for one in (probe, shown)} == {"close"}

"""A whole gateway's journal, signed as it goes and verified when it has stopped."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from gateway.audit.checkpoints import load_public
from gateway.audit.log.checkpoint import open_note
from gateway.audit.verify.run import Order, verify
from gateway.audit.verify.signed import Pinned
from gateway.audit.verify.sqlite_evidence import SqlitePlace
from gateway.store.moments import utc_now
from tests.flow.stack import AALIYAH, GRACE, running, told


async def test_what_a_gateway_wrote_is_signed_and_verified(tmp_path: Path) -> None:
    async with running(tmp_path, checkpoint_seconds=3600) as stack:
        none = await stack.client.get("/audit/checkpoint")
        assert (none.status_code, "no signed checkpoint yet" in told(none)) == (404, True)
        await stack.agree(GRACE)
        assert (await stack.everything(GRACE)).status_code == 200
        assert await stack.parts.checkpointer.checkpoint()
        await stack.choose(GRACE, "opted-out")
        assert (await stack.everything(GRACE)).status_code == 403
        await stack.agree(AALIYAH, "nurse")
        await stack.rows(GRACE)
        # Anybody may pin it, so nobody needs to sign in.
        answer = await stack.client.get("/audit/checkpoint")
        assert answer.headers["content-type"].startswith("text/plain")
    public = load_public(tmp_path / "checkpoint.key.pub")
    pinned = Pinned("pinned", open_note(answer.text, public))
    report = verify(Order(SqlitePlace(tmp_path), public, utc_now(), [pinned], timedelta(0)))
    assert report.holds, report.told()
    assert "not signed yet" not in report.told()  # the rest was signed at close


async def test_a_restarted_gateway_signs_on(tmp_path: Path) -> None:
    sizes = []
    for _ in range(2):
        async with running(tmp_path) as stack:
            await stack.choose(GRACE, "opted-in")
            assert (await stack.client.get("/readyz")).status_code == 200
        public = load_public(tmp_path / "checkpoint.key.pub")
        report = verify(Order(SqlitePlace(tmp_path), public, utc_now(), (), timedelta(0)))
        assert report.holds, report.told()
        sizes.append(report.checked[1])
    assert sizes[0].startswith("1 signed checkpoint of 127.0.0.1:8000/journal")
    assert sizes[1].startswith("2 signed checkpoints")

"""The scan that the whole test run ends with can find something."""

from __future__ import annotations

from pathlib import Path

from tests.canaries import leaked


def test_a_canary_is_found_wherever_it_is_kept(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "journal.bin").write_bytes(b"\x00\x01CANARY" + b"-RJ2-0123abcd\xff")
    (tmp_path / "clean.log").write_text("nothing here")
    found = list(leaked(tmp_path))
    (tmp_path / "deep" / "journal.bin").unlink()
    assert [(path.name, canary) for path, canary in found] == [("journal.bin", "CANARY" + "-RJ2-0123abcd")]

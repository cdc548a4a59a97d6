"""A secret's file lets its owner in, or the group that a container is given it through; nobody else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.closed import is_open_to_others
from gateway.doctor.files import secret


def file_of(owner: int, mode: int) -> os.stat_result:
    return os.stat_result((0o100000 | mode, 0, 0, 1, owner, 10001, 64, 0, 0, 0))


@pytest.mark.parametrize(
    ("owner", "mode", "reader", "is_open"),
    [
        (10001, 0o600, 10001, False),
        (10001, 0o400, 10001, False),
        (0, 0o440, 10001, False),  # as Kubernetes mounts it for a pod with fsGroup
        (0, 0o640, 10001, False),
        (0, 0o440, 0, True),  # root needs no group to read it, so somebody else was let in
        (10001, 0o440, 10001, True),
        (10001, 0o440, 10002, True),
        (0, 0o444, 10001, True),
        (0, 0o460, 10001, True),
        (0, 0o450, 10001, True),
        (0, 0o404, 10001, True),
    ],
)
def test_who_may_read_it(monkeypatch: pytest.MonkeyPatch, owner: int, mode: int, reader: int, is_open: bool) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: reader)
    assert is_open_to_others(file_of(owner, mode)) is is_open
    assert is_open_to_others(file_of(owner, mode), reader) is is_open


@pytest.mark.parametrize(
    ("owner", "mode", "said"),
    [
        (0, 0o440, []),  # as Kubernetes mounts it
        (10001, 0o400, []),
        (10001, 0o440, ["is open to others than its owner"]),
        (0, 0o400, ["belongs to user 0, and the gateway runs as 10001"]),
        (0, 0o444, ["is open to others than its owner", "belongs to user 0, and the gateway runs as 10001"]),
    ],
)
def test_the_doctor_judges_as_the_gateway_does(
    monkeypatch: pytest.MonkeyPatch, owner: int, mode: int, said: list[str]
) -> None:
    monkeypatch.setattr(Path, "stat", lambda _: file_of(owner, mode))
    assert [one.what for one in secret("key_file", Path("/k"), 10001)] == [f"/k {what}" for what in said]

"""A secret's file lets its owner in, or the group that a container is given it through; nobody else."""

from __future__ import annotations

import os

import pytest

from gateway.closed import is_open_to_others


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

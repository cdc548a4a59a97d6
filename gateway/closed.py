"""Whether a file that holds a secret is closed to everybody whom it isn't for."""

from __future__ import annotations

import os
import stat


def is_open_to_others(found: os.stat_result, reader: int | None = None) -> bool:
    """Open is whatever lets anybody but the owner in, or the group of a secret that is mounted for the reader. `reader`
    is the user whom it is for: who runs this, where nobody else is named."""
    return found.st_mode & (stat.S_IRWXG | stat.S_IRWXO) != 0 and not is_mounted(found, reader)


def is_mounted(found: os.stat_result, reader: int | None = None) -> bool:
    """A secret that Kubernetes mounts is root's, and the container, which isn't root, reads it as one of its group
    (`fsGroup`): that group is the container's alone."""
    user = os.geteuid() if reader is None else reader
    for_its_group = found.st_mode & (stat.S_IRWXG | stat.S_IRWXO) == stat.S_IRGRP
    return for_its_group and found.st_uid == 0 and user != 0

"""Whether a file that holds a secret is closed to everybody whom it isn't for."""

from __future__ import annotations

import os
import stat


def is_open_to_others(found: os.stat_result) -> bool:
    """Open is whatever lets anybody but the owner in; except that a secret which Kubernetes mounts is root's, and the
    container, which isn't root, reads it as one of its group (`fsGroup`): that group is the container's alone."""
    others = found.st_mode & (stat.S_IRWXG | stat.S_IRWXO)
    is_mounted = others == stat.S_IRGRP and found.st_uid == 0 and os.geteuid() != 0
    return others != 0 and not is_mounted

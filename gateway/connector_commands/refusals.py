"""What stops a connector command with its own sentence."""

from __future__ import annotations


class CannotDo(Exception):
    """The command can't be carried out. The text says why, and what to do."""

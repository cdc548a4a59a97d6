"""What stops a choice command with its own sentence."""

from __future__ import annotations


class CannotChoose(Exception):
    """The choice can't be recorded or read. The text says why, and what to do."""

"""What workers must agree on at once, and may forget later: one-time marks, and sign-ins that were ended."""

from __future__ import annotations

from typing import Final

_ONCE: Final = """
CREATE TABLE once (
    kind    TEXT NOT NULL,
    digest  {bytes} NOT NULL,
    expires {integer} NOT NULL,
    PRIMARY KEY (kind, digest)
){strict}
"""

_REVOKED: Final = """
CREATE TABLE revoked (
    kind    TEXT NOT NULL,
    digest  {bytes} NOT NULL,
    issued_until {integer} NOT NULL,
    expires {integer} NOT NULL,
    PRIMARY KEY (kind, digest)
){strict}
"""

TABLES: Final = (
    _ONCE,
    "CREATE INDEX once_expires ON once (expires)",
    _REVOKED,
    "CREATE INDEX revoked_expires ON revoked (expires)",
)

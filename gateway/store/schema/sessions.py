"""The viewer's sessions: the one table whose rows come and go."""

from __future__ import annotations

from typing import Final

_VIEWER_SESSION = """
CREATE TABLE viewer_session (
    id         TEXT PRIMARY KEY,
    sealed     TEXT NOT NULL,
    idle_until {integer} NOT NULL,
    ends_at    {integer} NOT NULL
){strict}
"""

TABLES: Final = (_VIEWER_SESSION, "CREATE INDEX viewer_session_idle ON viewer_session (idle_until)")

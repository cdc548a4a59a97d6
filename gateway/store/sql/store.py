"""`Store` in SQL, on whichever database."""

from __future__ import annotations

from gateway.store.sql.log import SqlCheckpoints, SqlFollowers, SqlLog
from gateway.store.sql.marks import SqlMarks
from gateway.store.sql.officers import SqlCases, SqlPolicies, SqlStaff
from gateway.store.sql.patients import SqlChoices, SqlJournal, SqlPermissions
from gateway.store.sql.sessions import SqlSessions


class SqlStore(
    SqlJournal,
    SqlChoices,
    SqlPermissions,
    SqlCases,
    SqlStaff,
    SqlPolicies,
    SqlLog,
    SqlCheckpoints,
    SqlFollowers,
    SqlMarks,
    SqlSessions,
):
    """The whole of `Store`: each part in the module that its subject names."""

"""`Store` in SQL, on whichever database."""

from __future__ import annotations

from gateway.store.sql.log import SqlCheckpoints, SqlFollowers, SqlLog
from gateway.store.sql.officers import SqlCases, SqlPolicies, SqlStaff
from gateway.store.sql.patients import SqlChoices, SqlJournal, SqlPermissions


class SqlStore(
    SqlJournal, SqlChoices, SqlPermissions, SqlCases, SqlStaff, SqlPolicies, SqlLog, SqlCheckpoints, SqlFollowers
):
    """The whole of `Store`: each part in the module that its subject names."""

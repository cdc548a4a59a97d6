"""Rows of the journal as FHIR R4 AuditEvents, by the IHE Basic Audit Log Patterns."""

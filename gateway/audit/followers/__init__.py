"""Copies of the journal elsewhere: each follows it by position, so that the journal itself is the outbox."""

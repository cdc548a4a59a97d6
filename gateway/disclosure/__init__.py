"""Lawful disclosure: a record that goes out because a statute, a court or the public interest requires it."""

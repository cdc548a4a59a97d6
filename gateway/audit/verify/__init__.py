"""Recomputes a journal from its bytes and holds it against what was signed, from a public key that was pinned."""

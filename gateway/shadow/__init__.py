"""Organisations in shadow: asked in the background, compared, never shown (docs/organisations.md)."""

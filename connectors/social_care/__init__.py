"""A council's social care system: who is allocated, and which visits and assessments there are."""

from connectors.social_care.connector import connect
from connectors.social_care.settings import Settings

__all__ = ["Settings", "connect"]

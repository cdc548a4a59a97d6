"""The Personal Demographics Service: who a person is, which practice they are registered with, and their NHS number."""

from connectors.pds.connector import connect
from connectors.pds.settings import Settings

__all__ = ["Settings", "connect"]

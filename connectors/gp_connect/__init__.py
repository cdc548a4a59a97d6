"""A GP practice's system by GP Connect: Access Record Structured (STU3), and future appointments."""

from connectors.gp_connect.connector import connect
from connectors.gp_connect.settings import Settings

__all__ = ["Settings", "connect"]

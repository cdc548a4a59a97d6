"""Any FHIR R4 source, from configuration alone."""

from connectors.fhir_r4.connector import connect
from connectors.fhir_r4.settings import Settings

__all__ = ["Settings", "connect"]

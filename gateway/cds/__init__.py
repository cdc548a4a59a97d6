"""CDS Hooks: a small card in the EHR, when a patient's chart is opened there."""

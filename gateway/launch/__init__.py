"""How a clinician comes in from their own system: SMART EHR launch, the UK contextual launch, and the session after."""

"""What another policy would decide: over every circumstance there can be, and over what was decided already."""

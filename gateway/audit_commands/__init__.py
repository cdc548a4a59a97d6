"""What `connectcare audit` runs: one module a command."""

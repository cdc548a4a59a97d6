"""What `connectcare policy` runs besides the matrix: one module a command."""

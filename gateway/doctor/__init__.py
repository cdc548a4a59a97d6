"""What a gateway still lacks for production, found out without one that runs: `connectcare doctor`."""

"""What an operator sees of a running gateway besides its log: metrics, and spans of where the time goes."""

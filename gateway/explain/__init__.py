"""Decision replay: why somebody could, or couldn't, see something, under the policy of that day."""

"""Where each resource of a saved payload went: the account behind `connectcare connector replay`."""

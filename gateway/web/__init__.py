"""Pages: what a person's browser shows. Nothing here signs anybody in, or looks anything up."""

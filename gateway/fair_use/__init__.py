"""Fair use: how much one person, one application and one organisation may ask, and what becomes of more."""

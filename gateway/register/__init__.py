"""The national register: which practice, who is sensitive, which number, who is this (docs/decisions/0007)."""

"""How whoever states a sharing choice was identified: said since the privacy officer's pages ask for it."""

from __future__ import annotations

from typing import Final

COLUMNS: Final = ("ALTER TABLE sharing_choice ADD COLUMN identified_by TEXT NOT NULL DEFAULT ''",)

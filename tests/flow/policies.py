"""Policies that aren't those in force."""

from __future__ import annotations

import shutil
from pathlib import Path


def altered(policies: Path, folder: Path) -> Path:
    """Policies of another day: social workers see results, and privacy officers don't read the audit."""
    shutil.copytree(policies, folder, ignore=shutil.ignore_patterns("cases"))
    rule = folder / "rules/sections/section.results.cedar"
    nurse = 'Role::"district-nurse"'
    rule.write_text(rule.read_text().replace(f"{nurse}]", f'{nurse}, Role::"social-worker"]'))
    return folder

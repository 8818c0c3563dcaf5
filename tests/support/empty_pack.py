"""A pack around a sample report, its bytes as a manifest wants them; what nothing here reads is empty."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from checker.core.canonical import canonical
from checker.release import pack

JUDGING = {
    "day": "2026-05-20",
    "policy": "audit",
    "tool": {"name": "pruneaudit", "version": "0.1.0", "measuring_code": "1"},
}


def write(folder: Path, report: Mapping[str, Any], audit: Mapping[str, Any] | None = None) -> Path:
    """The folder, sealed anew."""
    contents = dict.fromkeys(pack.FILES, b"{}")
    contents["report.json"] = canonical(report).encode()
    contents["judging.json"] = canonical(JUDGING).encode()
    contents["audit.json"] = canonical(audit or {}).encode()
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    (folder / pack.MANIFEST).write_bytes(pack.manifest_of(contents))
    return folder

"""Where things lie that tests read."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests"
SPECS = TESTS / "spec"
GOLDEN = TESTS / "reports" / "golden"
SCHEMAS = TESTS / "reports" / "schemas"

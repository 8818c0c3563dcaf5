"""The commands: one module per command, and this register of them, which imports none of them.

A module holds the command under the module's own name.
"""

from __future__ import annotations

COMMANDS: dict[str, str] = {
    "init": "init",
    "validate": "validate",
    "plan": "plan",
    "run": "run",
    "judge": "judge",
    "report": "report",
    "export": "export",
    "pack": "pack",
    "verify": "verify",
    "attest": "attest",
    "card": "card",
    "diff": "diff",
    "provenance": "provenance",
    "import": "import_",
    "rules": "rules",
    "waivers": "waivers",
    "explain": "explain",
    "doctor": "doctor",
    "selftest": "selftest",
}

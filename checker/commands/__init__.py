"""The commands: one module per command, and this register of them, which imports none of them.

A module is called like its command, and ``import``, which Python keeps for itself, ``import_``; it holds the command
under the module's own name.
"""

from __future__ import annotations

COMMANDS = (
    "init", "validate", "plan", "run", "time", "judge", "report", "export", "pack", "verify", "attest", "card", "diff",
    "provenance", "import", "rules", "waivers", "explain", "doctor", "selftest",
)  # fmt: skip

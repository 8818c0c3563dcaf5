"""The commands: one module per command, and this register of them in the order in which help lists them."""

from __future__ import annotations

import click

from checker.commands import (
    attest,
    card,
    diff,
    doctor,
    explain,
    export,
    import_,
    init,
    judge,
    pack,
    plan,
    provenance,
    report,
    rules,
    run,
    selftest,
    validate,
    verify,
    waivers,
)

COMMANDS: dict[str, click.Command] = {
    "init": init.init,
    "validate": validate.validate,
    "plan": plan.plan,
    "run": run.run,
    "judge": judge.judge,
    "report": report.report,
    "export": export.export,
    "pack": pack.pack,
    "verify": verify.verify,
    "attest": attest.attest,
    "card": card.card,
    "diff": diff.diff,
    "provenance": provenance.provenance,
    "import": import_.import_,
    "rules": rules.rules,
    "waivers": waivers.waivers,
    "explain": explain.explain,
    "doctor": doctor.doctor,
    "selftest": selftest.selftest,
}

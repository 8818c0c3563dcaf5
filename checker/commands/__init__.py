"""The commands: one module per command, and this register of them in the order in which help lists them."""

from __future__ import annotations

import click

from checker.commands import explain, export, init, judge, plan, report, rules, run, selftest, validate

COMMANDS: dict[str, click.Command] = {
    "init": init.init,
    "validate": validate.validate,
    "plan": plan.plan,
    "run": run.run,
    "judge": judge.judge,
    "report": report.report,
    "export": export.export,
    "rules": rules.rules,
    "explain": explain.explain,
    "selftest": selftest.selftest,
}

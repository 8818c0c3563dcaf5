"""Every method on planted models, on the user's own machine."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from checker.commands.command import command, require_measuring
from checker.commands.terminal import tell
from checker.core.records import ModelSource


@command("selftest", "pruneaudit selftest --dtype bfloat16 --device cuda")
@click.option(
    "--dtype",
    "dtypes",
    multiple=True,
    type=click.Choice(["float32", "bfloat16", "float16"]),
    default=("float32", "bfloat16"),
    help="Dtype to test; repeatable. [default: float32, bfloat16]",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
def selftest(dtypes: Sequence[str], device: str) -> None:
    """Runs every method on tiny models whose right answers are known, on this machine.

    Exits with 1 where one answer is wrong: figures from that device and dtype are not to be trusted.
    """
    require_measuring()
    from checker.measure.models import device_of
    from checker.measure.selftest import selftest as tested

    failed = 0
    where = device_of(ModelSource("directory", device=device))
    for dtype in dtypes:
        checks = tested(dtype, where)
        width = max(len(check.method) for check in checks)
        for check in checks:
            mark = "✓" if check.passed else "✗"
            answer = f"{check.planted}: expected {check.expected}, found {check.found}"
            tell(f"{mark} {check.method:<{width}}  {answer}")
        wrong = sum(not check.passed for check in checks)
        tell(f"{dtype} on {where.type}: {len(checks) - wrong} of {len(checks)} answers are right\n")
        failed += wrong
    sys.exit(1 if failed else 0)

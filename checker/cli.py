"""The command line: the only module that exits; what it prints goes through ``terminal``."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from checker import __version__, resources
from checker.errors import EvidenceMissing, PruneauditError, UsageError
from checker.records import Audit, Facts, ModelSource
from checker.terminal import Progress, duration, prepare_streams, printable, tell

FORMATS = ("html", "md", "json", "text")
EXPORTS = ("mergekit", "prune-layers", "csv", "checkpoint")
FAIL_ON = click.Choice(["note", "warning", "error", "never"])
F = TypeVar("F", bound=Callable[..., Any])

_file = click.argument("file")
_set = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override a value of the audit file, e.g. data.scoring.prompts=8.",
)
_out = click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of evidence and reports. [default: runs/<audit name>]",
)
_format = click.option(
    "--format",
    "formats",
    multiple=True,
    type=click.Choice(FORMATS),
    help="Report to write; repeatable. [default: html, md, json]",
)
_fail_on = click.option(
    "--fail-on", type=FAIL_ON, help="Least level at which findings change the exit code. [default: the audit's policy]"
)


class _Examples(click.Command):
    """Keeps the example in a command's help as it was written."""

    def __init__(self, *args: Any, example: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.example = example

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Example"):
            for line in self.example.splitlines():
                formatter.write(f"  {line}\n")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="pruneaudit")
def group() -> None:
    """Audits claims that layers of a language model are redundant.

    An audit file declares a model, its texts and layer budgets; the checker runs both tests of redundancy and the
    removals, and says which claims hold, and which test backs them.

    Exit codes: 0 nothing wrong; 1 a rule or claim failed; 2 wrong usage or audit file; 3 evidence missing or undecided;
    4 could not run; 5 evidence damaged; 130 interrupted.
    """


def _command(name: str, example: str) -> Callable[[F], click.Command]:
    """A command whose errors become messages and exit codes (design, 7)."""

    def make(function: F) -> click.Command:
        @wraps(function)
        def guarded(*args: Any, **kwargs: Any) -> None:
            with _errors_explained():
                function(*args, **kwargs)

        return group.command(name, cls=_Examples, example=example)(guarded)

    return make


@contextmanager
def _errors_explained() -> Iterator[None]:
    try:
        yield
    except PruneauditError as error:
        _fail(error.exit_code, str(error))
    except KeyboardInterrupt:
        _fail(130, "\ninterrupted; evidence so far is kept, the same command resumes")
    except MemoryError:
        _fail(4, "out of memory; evidence so far is kept; try a lower `batch_tokens` or `dtype: bfloat16`")
    except click.exceptions.Exit:
        raise
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        _fail(4, f"{place}found no way to read or write it ({error.strerror or error}); expected one; see to the path, "
                 "its permissions and the space on the disk; evidence so far is kept")  # fmt: skip
    except Exception as error:
        tell(traceback.format_exc(), error=True)
        _fail(4, f"pruneaudit crashed ({type(error).__name__}); this is a defect of pruneaudit, not of your audit; "
                 "evidence so far is kept")  # fmt: skip


def _fail(code: int, message: str) -> NoReturn:
    tell(message, error=True)
    sys.exit(code)


# --- before measuring ------------------------------------------------------------------------------------------------


@_command("init", "pruneaudit init ./my-model --out audits/my-model.yaml\npruneaudit init org/name")
@click.argument("model")
@click.option("--out", type=click.Path(path_type=Path), help="The audit file to write. [default: <model name>.yaml]")
def init(model: str, out: Path | None) -> None:
    """Writes a commented audit file for MODEL, with texts to start from beside it.

    MODEL is a folder with config.json and safetensors, a .gguf file, PACKAGE:FILE for a GGUF inside an installed Python
    package, or the name of a model on the hub.
    """
    from checker import checkpoints, spec  # here and below: a command imports only what it needs

    source = _model_source(model)
    facts = None
    if source.kind != "hub":
        facts = checkpoints.facts(checkpoints.locate(source), source)
    path = out or Path(f"{_short_name(source)}.yaml")
    texts = {path.parent / text: resources.audits() / "data" / text for text in ("prompts.jsonl", "evaluation.txt")}
    for target in (path, *texts):
        if target.exists():
            raise UsageError(f"{target}: found a file; expected none, init overwrites nothing; choose another --out")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(spec.draft(source, facts), encoding="utf-8")
    for target, origin in texts.items():
        shutil.copyfile(origin, target)
    for target in (path, *texts):
        tell(f"wrote {target}")
    tell(f"next: pruneaudit validate {path}")


def _model_source(model: str) -> ModelSource:
    path = Path(model)
    if path.is_dir():
        return ModelSource("directory", path=str(path.resolve()))
    if path.is_file() or (model.endswith(".gguf") and ":" not in model):
        return ModelSource("gguf", path=str(path.resolve()))
    package, colon, file = model.partition(":")
    if colon:
        return ModelSource("package", package=package, file=file)
    if model.count("/") == 1:
        return ModelSource("hub", repo=model)
    raise UsageError(
        f"found {model!r}; expected a folder, a .gguf file, PACKAGE:FILE or a name like org/name; check its spelling"
    )


def _short_name(source: ModelSource) -> str:
    return Path(source.repo or source.file or source.path or "model").name.removesuffix(".gguf")


@_command("validate", "pruneaudit validate audits/*.yaml")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@_set
def validate(files: Sequence[str], overrides: Sequence[str]) -> None:
    """Checks audit files: grammar and meaning, every mistake at once. Loads no model."""
    from checker import spec

    worst = 0
    for file in files:
        try:
            checked = spec.check(file, overrides)
        except PruneauditError as error:
            tell(str(error), error=True)
            worst = max(worst, error.exit_code)
            continue
        tell(f"{file}: valid")
        for note in checked.notes:
            tell(f"  note: {note}")
    sys.exit(worst)


@_command("plan", "pruneaudit plan smollm2-135m")
@_file
@_set
def plan(file: str, overrides: Sequence[str]) -> None:
    """Says what will be measured: layouts, block runs, tokens, memory, estimated time. Needs no weights."""
    from checker import checkpoints, spec
    from checker.plan import matrix_rate, seconds
    from checker.plan import plan as planned_for

    checked = spec.check(file, overrides)
    facts = checked.facts
    if facts is None:
        files = checkpoints.locate(checked.audit.model)  # raises, and says why the model is not at hand
        facts = checkpoints.facts(files, checked.audit.model)
    planned = planned_for(checked.audit, Facts(facts))
    cost = planned.cost
    rate = matrix_rate()
    rows = [
        ("model", f"{facts.source}, {facts.blocks} blocks, {facts.parameters:,} parameters"),
        ("layouts", f"{cost.layouts:,} (of which {planned.expected_sets} removal sets, about)"),
        ("block runs", f"{cost.block_runs:,} instead of {cost.block_runs_without_sharing:,} without shared prefixes"),
        ("tokens", f"{cost.tokens:,} through one block each"),
        ("memory", f"about {cost.memory / 2**30:.1f} GiB beside the program itself"),
        ("time", f"about {duration(seconds(cost, rate))} on this processor ({rate / 1e9:.0f} GFLOP/s measured now)"),
    ]
    for name, value in rows:
        tell(f"{name:<11}{value}")
    for note in (*planned.notes, *checked.notes):
        tell(f"note: {note}")


# --- measuring and judging -------------------------------------------------------------------------------------------


@_command(
    "run",
    "pruneaudit run smollm2-135m --fail-on never\npruneaudit run my.yaml --set data.scoring.prompts=8 --format html",
)
@_file
@_out
@_format
@_set
@_fail_on
@click.option("--fresh", is_flag=True, help="Put stored evidence aside and measure everything again.")
def run(
    file: str, out: Path | None, formats: Sequence[str], overrides: Sequence[str], fail_on: str | None, fresh: bool
) -> None:
    """Measures what is not stored yet, judges, and writes the reports.

    FILE is an audit file or the name of a packaged audit.
    """
    from checker import spec

    loaded = spec.load(file, overrides)  # mistakes come before torch is imported
    _require_measuring()
    from checker.audit import audit

    progress = Progress(sys.stderr.isatty())
    try:
        done = audit(
            file,
            out=out,
            overrides=overrides,
            formats=_chosen(formats),
            fail_on=fail_on or loaded.policy.fail_on,
            fresh=fresh,
            progress=progress,
        )
    finally:
        progress.close()
    _show(done.report, done.files)
    sys.exit(done.exit_code)


@_command("judge", "pruneaudit judge smollm2-135m --format md")
@_file
@_out
@_format
@_set
@_fail_on
def judge(file: str, out: Path | None, formats: Sequence[str], overrides: Sequence[str], fail_on: str | None) -> None:
    """Decides again from stored evidence, without torch: after a change of claims, waivers or policy."""
    from checker import reports, spec
    from checker.judge import exit_code
    from checker.judge import judge as judged
    from checker.store import Store

    loaded = spec.check(file, overrides, attached=False).audit
    folder = out or _default_out(loaded)
    evidence = folder / "evidence.db"
    if not evidence.is_file():
        raise EvidenceMissing(
            f"{evidence}: found no stored evidence; expected what a run leaves; measure first: pruneaudit run {file}"
        )
    with Store(evidence, create=False) as store:
        report = judged(loaded, store)
    _show(report, reports.render(report, folder, _chosen(formats)))
    sys.exit(exit_code(report, fail_on or loaded.policy.fail_on))


@_command("report", "pruneaudit report runs/smollm2-135m --format html")
@click.argument("out", type=click.Path(path_type=Path))
@_format
def report(out: Path, formats: Sequence[str]) -> None:
    """Renders the reports of a finished run again, from its report.json."""
    from checker import exports, reports

    content = exports.read_report(out)
    for written in reports.render(content, out, _chosen(formats)).values():
        tell(f"wrote {written}")


@_command(
    "export",
    "pruneaudit export runs/smollm2-135m --arm replacement:3 --as prune-layers\n"
    "pruneaudit export runs/smollm2-135m --arm interchange:3:0 --as checkpoint --to pruned",
)
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--arm",
    "name",
    required=True,
    metavar="METHOD:BUDGET[:TIE]",
    help="The arm; TIE where ties were broken in several ways. METHOD@native is the method's own form.",
)
@click.option("--as", "form", required=True, type=click.Choice(EXPORTS), help="What to write.")
@click.option("--to", type=click.Path(path_type=Path), help="File, or folder of a checkpoint. [default: the terminal]")
@click.option("--base", metavar="NAME", help="mergekit: the checkpoint it shall read. [default: the audit's model]")
@click.option("--audit", metavar="FILE", help="checkpoint: the audit file. [default: what the evidence holds of it]")
def export(out: Path, name: str, form: str, to: Path | None, base: str | None, audit: str | None) -> None:
    """Writes an arm for other tools: slices for mergekit, a list of layers, a table, a checkpoint to load."""
    from checker import exports

    content = exports.read_report(out)
    arm = exports.find_arm(content, name)
    if form != "checkpoint":
        text = exports.FORMATS[form](arm, base)
        if to is None:
            tell(text.rstrip("\n"))
            return
        exports.write(text, to)
    elif to is None:
        raise UsageError(
            "--to: found none; expected the folder that the checkpoint shall be; name one that is not there"
        )
    else:
        source = exports.model_source(out, content, audit)
        _require_measuring()
        from checker import checkpoint_export

        checkpoint_export.write(source, arm.layout, to, digest=content["model"]["digest"])
    tell(f"wrote {to}")


@_command("rules", "pruneaudit rules --json")
@click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")
def rules(as_json: bool) -> None:
    """Lists the rules, with their levels."""
    from checker.rules import RULES

    if as_json:
        fields = ("slug", "level", "summary", "why", "remedy", "waive")
        tell(json.dumps([{name: getattr(rule, name) for name in fields} for rule in RULES.values()], indent=2))
        return
    width = max(map(len, RULES))
    for rule in RULES.values():
        tell(f"{rule.slug:<{width}}  {rule.level:<8} {rule.summary}")


@_command("explain", "pruneaudit explain protocol/undisclosed")
@click.argument("rule")
def explain(rule: str) -> None:
    """Explains one rule: what it checks, why, what to do, and when to waive it."""
    import difflib

    from checker.rules import RULES

    if rule not in RULES:
        near = difflib.get_close_matches(rule, RULES, n=1)
        advice = f"did you mean {near[0]}?" if near else "`pruneaudit rules` lists them"
        raise UsageError(f"found rule {printable(rule)!r}; expected one that exists; {advice}")
    found = RULES[rule]
    tell(f"{found.slug} ({found.level})\n\n{found.summary}")
    for title, text in (("Why", found.why), ("What to do", found.remedy), ("When to waive", found.waive)):
        tell(f"\n{title}\n{textwrap.indent(textwrap.fill(text, 88), '  ')}")


@_command("selftest", "pruneaudit selftest --dtype bfloat16 --device cuda")
@click.option("--dtype", "dtypes", multiple=True, type=click.Choice(["float32", "bfloat16", "float16"]),
              help="Dtype to test; repeatable. [default: float32, bfloat16]")  # fmt: skip
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
def selftest(dtypes: Sequence[str], device: str) -> None:
    """Runs every method on tiny models whose right answers are known, on this machine.

    Exits with 1 where one answer is wrong: figures from that device and dtype are not to be trusted.
    """
    _require_measuring()
    from checker.models import device_of
    from checker.selftest import selftest as tested

    failed = 0
    for dtype in dtypes or ("float32", "bfloat16"):
        where = device_of(ModelSource("directory", device=device))
        checks = tested(dtype, where)
        width = max(len(check.method) for check in checks)
        for check in checks:
            mark = "✓" if check.passed else "✗"
            told = f"{check.planted}: expected {check.expected}, found {check.found}"
            tell(f"{mark} {check.method:<{width}}  {told}")
        wrong = sum(not check.passed for check in checks)
        tell(f"{dtype} on {where.type}: {len(checks) - wrong} of {len(checks)} answers are right\n")
        failed += wrong
    sys.exit(1 if failed else 0)


# --- helpers ---------------------------------------------------------------------------------------------------------


def _chosen(formats: Sequence[str]) -> Sequence[str]:
    from checker import reports

    return formats or reports.DEFAULT_FORMATS


def _default_out(loaded: Audit) -> Path:
    return Path("runs") / loaded.name


def _require_measuring() -> None:
    from importlib.util import find_spec

    missing = [package for package in ("torch", "transformers") if find_spec(package) is None]
    if missing:
        from checker.errors import CannotRun

        raise CannotRun(
            f"found no package {' nor '.join(missing)}; expected what measuring needs; install it: "
            "pip install 'pruneaudit[measure]'"
        )


def _show(content: Any, files: Any) -> None:
    from checker import reports

    width = min(shutil.get_terminal_size((100, 24)).columns, 120)
    tell(reports.summary(content, width))
    for path in files.values():
        tell(f"wrote {path}")


def main() -> None:
    """Entry point of the command `pruneaudit`."""
    prepare_streams()
    try:
        group(prog_name="pruneaudit", standalone_mode=False)
    except click.exceptions.Abort:
        tell("interrupted", error=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)


if __name__ == "__main__":
    main()

"""The one shape of a command: a click command whose errors become messages and exit codes, and what commands share."""

from __future__ import annotations

import json
import shutil
import sys
import traceback
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from checker import reports
from checker.commands.terminal import printable, tell, write
from checker.core.errors import CannotRun, PruneauditError, bounded

PATH = click.Path(path_type=Path)
FOLDER = click.Path(path_type=Path, file_okay=False)
F = TypeVar("F", bound=Callable[..., Any])


def _known_formats(_: click.Context, __: click.Parameter, options: tuple[str, ...]) -> tuple[str, ...]:
    """The formats asked for, or the default ones. Each is NAME or NAME=FILE; whether a file can be written is seen once
    the audit's folder is known."""
    for name in (option.partition("=")[0] for option in options):
        if name not in reports.FORMATS:
            raise click.BadParameter(f"{printable(name)!r} is not one of {', '.join(map(repr, reports.FORMATS))}.")
    return options or reports.DEFAULT_FORMATS


def policy_override(name: str) -> str:
    """What ``--policy name`` is short for: the override that puts it in the place of an audit file's own policy."""
    return f"policy={{extends: {json.dumps(name, ensure_ascii=False)}}}"


def _after_policy(ctx: click.Context, _: click.Parameter, overrides: tuple[str, ...]) -> tuple[str, ...]:
    """--policy, where a command has it, comes first, so that --set may change what it says."""
    name = ctx.params.pop("policy", None)
    return overrides if name is None else (policy_override(name), *overrides)


file_argument = click.argument("file")
policy_option = click.option(
    "--policy",
    metavar="POLICY",
    is_eager=True,  # read before --set, which takes it up
    help="In place of the audit file's own policy: release, review, research, or a policy file.",
)
set_option = click.option(
    "--set",
    "overrides",
    multiple=True,
    callback=_after_policy,
    metavar="KEY=VALUE",
    help="Override a value of the audit file, e.g. data.scoring.prompts=8.",
)
out_option = click.option("--out", type=FOLDER, help="Folder of evidence and reports. [default: runs/<audit name>]")
format_option = click.option(
    "--format",
    "formats",
    multiple=True,
    callback=_known_formats,
    metavar="NAME[=FILE]",
    help=f"Report to write: {', '.join(reports.FORMATS)}; repeatable. NAME=FILE names the file, NAME=- prints it, as "
    "github does by itself. [default: html, md, json]",
)
fail_on_option = click.option(
    "--fail-on",
    type=click.Choice(["note", "warning", "error", "never"]),
    help="Least level at which findings change the exit code. [default: the policy's]",
)
trust_option = click.option(
    "--trust-remote-code",
    is_flag=True,
    help="Let code that comes with the model run; the audit file must say so too: model.trust_remote_code.",
)


def judging_options(function: F) -> F:
    """What run and judge take alike: the audit file, where reports go, and what the exit code rests on."""
    for option in (fail_on_option, set_option, policy_option, format_option, out_option, file_argument):
        function = option(function)
    return function


class _Command(click.Command):
    """A command whose errors become messages and exit codes (design, 7), and whose help ends in its example as it was
    written."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Example"):
            for line in str(self.epilog).splitlines():
                formatter.write(f"  {line}\n")

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except PruneauditError as error:
            _fail(error.exit_code, str(error))
        except KeyboardInterrupt:
            _fail(130, "\ninterrupted; evidence so far is kept, the same command resumes")
        except MemoryError:
            _fail(4, "out of memory; evidence so far is kept; try a lower `batch_tokens` or `dtype: bfloat16`")
        except OSError as error:
            place = f"{bounded(str(error.filename))}: " if error.filename else ""
            _fail(
                4,
                f"{place}found no way to read or write it ({error.strerror or error}); expected one; see to the path, "
                "its permissions and the space on the disk; evidence so far is kept",
            )
        except Exception as error:
            tell(traceback.format_exc(), error=True)
            _fail(
                4,
                f"pruneaudit crashed ({type(error).__name__}); this is a defect of pruneaudit, not of your audit; "
                "evidence so far is kept",
            )


def command(name: str, example: str) -> Callable[[F], click.Command]:
    """Makes a function a command; its docstring is the help."""
    return click.command(name, cls=_Command, epilog=example)


def _fail(code: int, message: str) -> NoReturn:
    tell(message, error=True)
    sys.exit(code)


def require_measuring() -> None:
    """CannotRun without torch; what needs it is imported after this, in the function that uses it."""
    missing = [package for package in ("torch", "transformers") if find_spec(package) is None]
    if missing:
        raise CannotRun.at(
            None,
            f"no package {' nor '.join(missing)}",
            "what measuring needs",
            "install it: pip install 'pruneaudit[measure]'",
        )


def show(content: Any, files: Mapping[str, Path], printed: str | None) -> None:
    """The summary and what was written; on stderr where a report goes to stdout, which it then has to itself."""
    width = min(shutil.get_terminal_size((100, 24)).columns, 120)
    tell(reports.summary(content, width), error=printed is not None)
    deliver(files, printed)


def deliver(files: Mapping[str, Path], printed: str | None) -> None:
    """Says which files were written, and prints the report that goes to stdout, if one does."""
    for path in files.values():
        tell(f"wrote {path}", error=printed is not None)
    if printed is not None:
        write(printed)

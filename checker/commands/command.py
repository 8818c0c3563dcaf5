"""The one shape of a command: a click command whose errors become messages and exit codes, and what commands share."""

from __future__ import annotations

import json
import shutil
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from checker import reports
from checker.commands.terminal import printable, tell, write
from checker.core.errors import CannotRun, PruneauditError

FAIL_ON = click.Choice(["note", "warning", "error", "never"])
F = TypeVar("F", bound=Callable[..., Any])


def _known_formats(_: click.Context, __: click.Parameter, options: tuple[str, ...]) -> tuple[str, ...]:
    """Each is NAME or NAME=FILE; whether the file can be written is seen once the audit's folder is known."""
    for name in (option.partition("=")[0] for option in options):
        if name not in reports.FORMATS:
            raise click.BadParameter(f"{printable(name)!r} is not one of {', '.join(map(repr, reports.FORMATS))}.")
    return options


_POLICY = "checker.policy"  # where a context keeps what --policy names


def policy_override(name: str) -> str:
    """What ``--policy name`` is short for: the override that puts it in the place of an audit file's own policy."""
    return f"policy={{extends: {json.dumps(name, ensure_ascii=False)}}}"


def _keep_policy(ctx: click.Context, _: click.Parameter, name: str | None) -> None:
    ctx.meta[_POLICY] = name


def _after_policy(ctx: click.Context, _: click.Parameter, overrides: tuple[str, ...]) -> tuple[str, ...]:
    """--policy comes first, so that --set may change what it says."""
    name = ctx.meta.get(_POLICY)
    return overrides if name is None else (policy_override(name), *overrides)


file_argument = click.argument("file")
policy_option = click.option(
    "--policy",
    metavar="POLICY",
    is_eager=True,
    expose_value=False,
    callback=_keep_policy,
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
out_option = click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of evidence and reports. [default: runs/<audit name>]",
)
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
    "--fail-on", type=FAIL_ON, help="Least level at which findings change the exit code. [default: the policy's]"
)
trust_option = click.option(
    "--trust-remote-code",
    is_flag=True,
    help="Let code that comes with the model run; the audit file must say so too: model.trust_remote_code.",
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


def command(name: str, example: str) -> Callable[[F], click.Command]:
    """A command whose errors become messages and exit codes (design, 7)."""

    def make(function: F) -> click.Command:
        @wraps(function)
        def guarded(*args: Any, **kwargs: Any) -> None:
            with _errors_explained():
                function(*args, **kwargs)

        return click.command(name, cls=_Examples, example=example)(guarded)

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


def chosen(formats: Sequence[str]) -> Sequence[str]:
    return formats or reports.DEFAULT_FORMATS


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

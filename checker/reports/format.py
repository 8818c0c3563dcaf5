"""What a format is, and the environment that templates are rendered in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jinja2 import FileSystemLoader, StrictUndefined
from jinja2.sandbox import SandboxedEnvironment

from checker.core import escape, resources
from checker.judge.form import AnyReport


@dataclass(frozen=True)
class Format:
    """A format of the report: the file it is written to, and how a valid report becomes its text.

    ``printed``: of use on standard output only, and printed where no file is named. ``points``: it points at the audit
    file by its path, for whoever shows a finding beside the line that it is about.
    """

    name: str
    file: str
    render: Callable[[AnyReport], str]
    printed: bool = False
    points: bool = False


def environment(autoescape: bool) -> SandboxedEnvironment:
    """Templates from `templates/`, sandboxed; a name a template misspells is an error, never empty text."""
    templates = SandboxedEnvironment(
        loader=FileSystemLoader(resources.templates()),
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    templates.filters["md"] = escape.markdown
    return templates

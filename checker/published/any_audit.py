"""An audit file of either kind: of measurements, or of published numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from checker.core.errors import InvalidAudit
from checker.core.records import Audit
from checker.published import load as transcripts
from checker.published.publication import Publication
from checker.spec import consistency, policies, schema
from checker.spec import load as spec


def any_audit(
    path: str | Path, overrides: Sequence[str] = (), *, hub_cache: Path | None = None, attached: bool = True
) -> tuple[Audit | Publication, tuple[str, ...]]:
    """The audit of a file or of a packaged name, and notes on what was not checked; arguments as of ``spec.check``."""
    opened = spec.read(path, overrides)
    if opened.published:
        return _publication(opened), ()
    checked = spec.check_opened(opened, hub_cache, attached=attached)
    return checked.audit, checked.notes


def _publication(opened: spec.Opened) -> Publication:
    document = opened.document
    transcripts.check_blanks(document)
    schema.check(document, spec.schema())
    consistency.check(document)
    chain = policies.layers(document)
    tables = transcripts.check(document)
    if document.mistakes:
        raise InvalidAudit(document.mistakes)
    policy, waivers = policies.merged(chain), spec.waivers(document)
    return transcripts.publication(document, opened.file, opened.overrides, policy, waivers, tables)

"""What other tools take an arm as: slices for mergekit, a list of layers, a table; and where its model came from.

A checkpoint needs weights, and so torch; ``checkpoint_export`` writes it.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, get_args

import yaml

from checker.core.errors import UsageError
from checker.core.layouts import Layout
from checker.core.records import ModelSource
from checker.core.store import Store
from checker.core.words import listed
from checker.judge.figures.form import ArmRow
from checker.judge.form import ModelRow, Report
from checker.spec import load

_SHOWN = 8
_UNKNOWN = Path("/unknown").absolute()  # where an audit file lies that is only known by its text

_NAME = re.compile(r"(?P<method>[^:@]+)(?:@(?P<kind>[^:@]+))?:(?P<budget>\d+)(?::(?P<tie>\d+))?", re.ASCII)


@dataclass(frozen=True)
class Arm:
    """One arm of a report: what it runs, and its row of figures."""

    layout: Layout
    row: ArmRow
    report: Report


def find_arm(report: Report, name: str) -> Arm:
    """The arm that ``METHOD:BUDGET`` or ``METHOD:BUDGET:TIE`` names.

    Where ties were broken in several ways, TIE is needed: the ways may differ much in cost. ``METHOD@KIND`` names the
    form (native) or the constraints of an arm; left out, the matched form under the audit's first constraints is meant,
    where there is one. UsageError says which arms there are.
    """
    match = _NAME.fullmatch(name.strip())
    if match is None:
        form = "METHOD:BUDGET or METHOD:BUDGET:TIE"
        raise UsageError.at("--arm", repr(name), form, "write it like `--arm replacement:3`")
    rows = [row for row in report["arms"] if (row["method"], row["budget"]) == (match["method"], int(match["budget"]))]
    rows = _of_kind(rows, match["kind"])
    if match["tie"] is not None:
        rows = [row for row in rows if row["tie"] == int(match["tie"])]
    if not rows:
        names = listed(dict.fromkeys(f"{row['method']}:{row['budget']}" for row in report["arms"]), 4 * _SHOWN)
        raise UsageError.at(
            "--arm",
            f"no arm {name} in the report",
            f"one of {names or 'none, for the report has no arms'}",
            "choose one of these, or add it to the audit and run it",
        )
    if len({_layers_text(row) for row in rows}) > 1:
        stem = f"{match['method']}:{match['budget']}"
        ways = [f"{stem}:{row['tie']} removes {_layers_text(row)}{_cost(row)}" for row in rows[:_SHOWN]]
        ways += [f"and {len(rows) - _SHOWN} more"] if len(rows) > _SHOWN else []
        raise UsageError.at("--arm", f"{len(rows)} arms {name}", "one", f"choose: {'; '.join(ways)}")
    return Arm(_layout(rows[0], report["model"]["blocks"]), rows[0], report)


def _of_kind(rows: Sequence[ArmRow], kind: str | None) -> list[ArmRow]:
    """Rows of a form or of constraints called ``kind``, narrowed to one form and one set of constraints."""
    rows = [row for row in rows if kind in (None, row["form"], row["selection"])]
    rows = [row for row in rows if row["form"] == "matched"] or rows
    return [row for row in rows if (row["form"], row["selection"]) == (rows[0]["form"], rows[0]["selection"])]


def _layers_text(row: ArmRow) -> str:
    merged = f" by {row['merged']}" if row["merged"] else ""
    return ",".join(map(str, row["layers"])) + merged


def _cost(row: ArmRow) -> str:
    return "" if row["increase_percent"] is None else f" ({row['increase_percent']:+.1f} %)"


def _layout(row: ArmRow, blocks: int) -> Layout:
    """What an arm runs; UsageError where layers and layout of the row cannot both be true."""
    kept = [slot for slot in range(blocks) if slot not in row["layers"]]
    try:
        layout = Layout.parse(row["merged"]) if row["merged"] else Layout.base(blocks).without(row["layers"])
    except ValueError as error:
        raise UsageError(f"report.json: {error}; judge again") from None
    inside = all(0 <= block < blocks for place in layout.places for block, _ in place.weights)
    if list(layout.slots) != kept or not inside or len(kept) != blocks - row["budget"] or not kept:
        raise UsageError.at(
            "report.json",
            f"an arm that removes {_layers_text(row)} at budget {row['budget']} of {blocks} blocks",
            "so many distinct blocks of the model, and at least one that stays",
            "judge again",
        )
    return layout


def mergekit(arm: Arm, base: str | None = None) -> str:
    """Passthrough slices for mergekit: half-open ranges of the blocks that stay.

    ``base`` names the checkpoint that mergekit shall read; left out, it is the report's. UsageError for an arm that
    merges blocks, and for a model that was read from GGUF, which mergekit does not read.
    """
    if mixed := [place for place in arm.layout.places if len(place.weights) > 1 or place.weights[0][1] != 1.0]:
        raise UsageError.at(
            "--as mergekit",
            f"merged weights, {mixed[0]}",
            "whole blocks, which is all that passthrough copies",
            "use `--as checkpoint`",
        )
    name = base or _base_name(arm.report["model"])
    slices = [{"sources": [{"model": name, "layer_range": list(ends)}]} for ends in ranges(arm.layout)]
    content = {"slices": slices, "merge_method": "passthrough", "dtype": arm.report["model"]["dtype"]}
    comment = (
        f"# pruneaudit: {_title(arm)} of {_printable(arm.report['model']['source'])}, "
        f"which removes {_printable(_layers_text(arm.row))}{_cost(arm.row)}\n"
        "# mergekit cuts no list per layer, like layer_types, and stops at a model that has one: for such a model,\n"
        "# and for merged weights, use `pruneaudit export --as checkpoint`.\n"
    )
    return comment + yaml.safe_dump(content, sort_keys=False, default_flow_style=None, allow_unicode=True, width=1000)


def ranges(layout: Layout) -> Iterator[tuple[int, int]]:
    """Runs of neighbouring blocks, in the order in which they run, as half-open ranges [first, last + 1)."""
    places = enumerate(place.weights[0][0] for place in layout.places)
    for _, run in groupby(places, key=lambda place: place[1] - place[0]):
        blocks = [block for _, block in run]
        yield blocks[0], blocks[-1] + 1


def _base_name(model: ModelRow) -> str:
    if model["source"].endswith(".gguf"):
        raise UsageError.at(
            "--as mergekit",
            f"a model read from GGUF ({_printable(model['source'])})",
            "a checkpoint, for mergekit reads no GGUF",
            "name the checkpoint it was made from with `--base`, or use `--as checkpoint`",
        )
    pinned = f"@{model['revision']}" if model["kind"] == "hub" and model["revision"] else ""
    return f"{model['source']}{pinned}"


def prune_layers(arm: Arm, base: str | None = None) -> str:
    """The removed blocks as one line, ``3,5,9``, as options called ``--prune-layers`` take it; from 0."""
    changed = [place for place in arm.layout.places if not place.own]
    if changed:
        raise UsageError.at(
            "--as prune-layers",
            f"a block that does not stay as it is, {changed[0]}",
            "an arm that only removes blocks",
            "use `--as checkpoint`",
        )
    return ",".join(map(str, sorted(arm.row["layers"]))) + "\n"


_Figure = Literal["perplexity", "increase_percent", "kl", "top1_agreement"]
_BlockFigure = Literal["deletion", "replacement_score", "interchange_score", "single_deletion_increase_percent"]
_FIGURES: tuple[_Figure, ...] = get_args(_Figure)
_BLOCK_FIGURES: tuple[_BlockFigure, ...] = get_args(_BlockFigure)
_COLUMNS = (
    *("block", "kept", "new_number", "weights"),
    *(f"block_{name}" for name in _BLOCK_FIGURES),
    *("method", "budget", "tie"),
    *(f"arm_{name}" for name in (*_FIGURES, "increase_low", "increase_high")),
)


def table(arm: Arm, base: str | None = None) -> str:
    """CSV with one row per block: kept or not, its number afterwards, its own figures, and those of the arm.

    Increases are percent, distances nats; a figure that was not measured is empty.
    """
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    low, high = arm.row["interval"] or (None, None)
    of_arm: dict[str, Any] = {"method": arm.row["method"], "budget": arm.row["budget"], "tie": arm.row["tie"]}
    of_arm |= {f"arm_{name}": arm.row[name] for name in _FIGURES}
    of_arm |= {"arm_increase_low": low, "arm_increase_high": high}
    figures = {row["block"]: row for row in arm.report["blocks"]}
    for block in range(arm.report["model"]["blocks"]):
        row = figures.get(block)
        of_block = {f"block_{name}": row[name] for name in _BLOCK_FIGURES} if row else {}
        writer.writerow({"block": block, **_fate(arm.layout, block), **of_block, **of_arm})
    return text.getvalue()


def _fate(layout: Layout, slot: int) -> dict[str, Any]:
    """What becomes of a slot."""
    if slot not in layout.slots:
        return {"kept": "no", "new_number": None, "weights": None}
    number = layout.slots.index(slot)
    return {"kept": "yes", "new_number": number, "weights": str(layout.places[number]).partition("@")[0]}


FORMATS: Mapping[str, Callable[[Arm, str | None], str]] = {
    "mergekit": mergekit,
    "prune-layers": prune_layers,
    "csv": table,
}


def _title(arm: Arm) -> str:
    tie = f", tie {arm.row['tie']} of {arm.row['ties']}" if arm.row["ties"] > 1 else ""
    return f"{_printable(arm.row['method'])} at budget {arm.row['budget']}{tie}"


def _printable(text: str) -> str:
    """Text from a stranger's report on one line, so that it cannot end a comment."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def model_source(out: Path, report: Report, audit: str | None = None) -> ModelSource:
    """Where the audited model is: as ``audit`` says (a file, or a packaged name), else as the evidence's record does.

    What ``--set`` changed in the run is applied again. UsageError where neither is to be had, or where the record names
    the model by a path that starts at an audit file which is not at hand.
    """
    if audit is not None:
        overrides = [f"{override['key']}={override['value']}" for override in report["overrides"]]
        return load.check(audit, overrides, attached=False).audit.model
    path = out / "evidence.db"
    record = None
    if path.is_file():
        with Store(path, create=False) as store:
            record = store.read_record("audit", report["audit"]["name"])
    if record is None:
        raise UsageError.at(
            path,
            f"no record of the audit {_printable(report['audit']['name'])!r}",
            "what a run leaves there",
            "name the audit file with `--audit`",
        )
    return _recorded_source(record)


def _recorded_source(record: Mapping[str, Any]) -> ModelSource:
    """The model source of an audit that is only known by its text."""
    overrides = [f"{key}={value}" for key, value in record["overrides"]]
    source = load.check_text(record["text"], "audit.yaml", _UNKNOWN, overrides, attached=False).audit.model
    if source.path is not None and Path(source.path).is_relative_to(_UNKNOWN):
        raise UsageError.at(
            None,
            f"that the audit names its model by a relative path, {Path(source.path).name}",
            "to know where the path starts",
            "name the audit file with `--audit`",
        )
    return source

"""The provenance of a checkpoint as lines for a reader, and as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from checker.checkpoints.provenance.comparison import Agreement, Provenance, in_words
from checker.checkpoints.provenance.origins import Origin
from checker.checkpoints.provenance.outside import Outside, Setting
from checker.core.layouts import Place
from checker.core.slots import Comparison
from checker.core.words import enumerated

FORMAT = "pruneaudit/provenance/1"

_LONGEST = 100  # characters of a field's value


NOT_ASKED = Comparison("open", "what their slots are was not compared; use --slots")  # which needs torch


def lines(provenance: Provenance, claimed: Sequence[int] | None = None, slots: Comparison = NOT_ASKED) -> Iterator[str]:
    """What became of the base, with the blocks that somebody says were removed held against it."""
    blocks = range(len(provenance.origins))
    yield f"{provenance.checkpoint}: {len(blocks)} blocks; {provenance.base}: {provenance.base_blocks} blocks"
    yield f"layout: {provenance.layout or 'open'}"
    yield "; ".join(provenance.done)
    unasked = "not compared; use --slots"
    yield f"slots: {unasked if slots == NOT_ASKED else slots.why or 'every block runs in one like its own'}"
    yield ""
    yield from _table(["place", "weights of", "state"], [_block(provenance, place) for place in blocks])
    yield ""
    yield from _table(["outside of the blocks", "", "state"], [_outside(each) for each in provenance.outside])
    if provenance.settings:
        yield ""
        yield from _table(["config.json", "found", "expected"], [_setting(each) for each in provenance.settings])
    if provenance.open:
        yield ""
        yield from (f"open: {reason}" for reason in provenance.open)
    if claimed is not None:
        yield ""
        agreement, why = verdict(provenance, claimed, slots)
        yield f"claim: {in_words(claimed)} removed; {_VERDICTS[agreement]}: {why}"


_VERDICTS: dict[Agreement, str] = {"agrees": "so it is", "differs": "it is not so", "open": "open"}


def verdict(provenance: Provenance, claimed: Sequence[int], slots: Comparison) -> tuple[Agreement, str]:
    """Whether the checkpoint is the base without ``claimed``, and why: by its blocks, and by what their slots are."""
    agreement, why = provenance.agreement(claimed)
    if agreement != "agrees" or slots.state == "same":
        return agreement, why
    if slots.state == "differ":
        return "differs", f"{why}, but {slots.why}"
    return "open", f"blocks agree; {slots.why}"


def as_json(
    provenance: Provenance, claimed: Sequence[int] | None = None, slots: Comparison = NOT_ASKED
) -> dict[str, Any]:
    """The same in a form for programs."""
    agreement, why = verdict(provenance, claimed, slots) if claimed is not None else (None, None)
    return {
        "format": FORMAT,
        "base": {"name": provenance.base, "blocks": provenance.base_blocks},
        "checkpoint": {"name": provenance.checkpoint, "blocks": len(provenance.origins)},
        "layout": provenance.layout and str(provenance.layout),
        "removed": None if provenance.undecided else list(provenance.removed),
        "merged": list(provenance.merged),
        "duplicated": list(provenance.duplicated),
        "reordered": provenance.reordered,
        "retrained": list(provenance.retrained),
        "quantised": list(provenance.quantised),
        "types": provenance.types or None,
        "blocks": [_block_row(provenance, place, origin) for place, origin in enumerate(provenance.origins)],
        "outside": [
            {"role": each.role, "tensor": each.name, "state": each.state, "change": each.change, "note": each.note}
            for each in provenance.outside
        ],
        "config": [
            {
                "field": each.field,
                "found": _finite(each.found),
                "expected": _finite(each.expected),
                "agrees": each.agrees,
            }
            for each in provenance.settings
        ],
        "slots": {"state": slots.state, "why": slots.why},
        "open": list(provenance.open),
        "claim": None if claimed is None else {"layers": list(claimed), "agreement": agreement, "message": why},
    }


def _finite(value: Any) -> Any:
    """A value of a configuration as JSON has it: some have NaN or Infinity, which other readers refuse."""
    return json.loads(json.dumps(value), parse_constant=str)


def _block_row(provenance: Provenance, place: int, origin: Origin) -> dict[str, Any]:
    return {
        "place": place,
        "slot": provenance.layout and provenance.layout.slots[place],
        "weights": [{"block": block, "weight": weight} for block, weight in origin.parts],
        "state": origin.state,
        "change": origin.change,
        "changed": list(origin.changed),
        "tensors": origin.tensors,
        "rounded_to": origin.through,
        "share": origin.share,
        "reason": origin.reason,
    }


def _block(provenance: Provenance, place: int) -> list[str]:
    origin = provenance.origins[place]
    if not origin.parts:
        weights = "?"
    elif provenance.layout is not None:
        weights = str(provenance.layout.places[place])
    else:
        weights = str(Place(origin.parts, place)).partition("@")[0]
    return [str(place), weights, _state(origin)]


def _state(origin: Origin) -> str:
    if origin.state == "cast":
        return f"cast to {origin.through}"
    kinds = f" ({origin.through})" if origin.through else ""
    if not origin.retrained:
        return f"{origin.state}{kinds}"
    if origin.in_part and origin.block is not None:
        state = origin.state.replace("retrained", f"changed in {enumerated(origin.in_part)}")
        return f"{state}{kinds}, {100 * origin.share:.3g} % of its parameters{_change(origin.change)}"
    some = f" in {len(origin.changed)} of {origin.tensors} tensors" if len(origin.changed) < origin.tensors else ""
    return f"{origin.state}{kinds}{_change(origin.change)}{some}"


def _change(change: float | None) -> str:
    return f", relative change {change:.3g}" if change is not None else ""


def _outside(each: Outside) -> list[str]:
    change = _change(each.change) if each.state == "retrained" else ""
    return [each.role, each.name, f"{each.state}{change}{f' {each.note}' if each.note else ''}"]


def _setting(each: Setting) -> list[str]:
    value = "none" if each.found is None else str(each.found)[:_LONGEST]
    return [each.field, value, "as found" if each.agrees else str(each.expected)[:_LONGEST]]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Columns as wide as their widest entry, two spaces apart."""
    every = [head, *rows]
    widths = [max(len(row[column]) for row in every) for column in range(len(head))]
    for row in every:
        yield "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()

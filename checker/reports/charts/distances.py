"""The charts over depth and over kinds: distance profiles, single deletions, kinds of prompt."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from statistics import median

from markupsafe import Markup

from checker.core.records import PROTOCOLS
from checker.judge.figures.form import BlockRow, KindRow, PairRow, distance_of
from checker.judge.form import Report
from checker.reports.charts import svg
from checker.reports.tables import costs, distances, numbers
from checker.reports.tables.table import Figure


def profile(report: Report) -> Figure | None:
    """Both distances of neighbouring blocks over depth; None where none was measured."""
    pairs = distances.adjacent(report)
    if not any(distance_of(pair, protocol) for pair in pairs for protocol in PROTOCOLS):
        return None
    draw = partial(_profile, report, pairs)
    return svg.figure("profile", _profile_sentence(pairs), draw, distances.profile(report))


def deletions(report: Report) -> Figure | None:
    """What deleting each block alone costs; None where nothing was measured."""
    blocks = [block for block in report["blocks"] if block["single_deletion_increase_percent"] is not None]
    if not blocks:
        return None
    best, worst = (pick(blocks, key=_cost) for pick in (min, max))
    sentence = (
        f"Deleting one block alone costs between {numbers.percent(_cost(best))} (block {best['block']}) and "
        f"{numbers.percent(_cost(worst))} (block {worst['block']}) perplexity; the median block costs "
        f"{numbers.percent(median(map(_cost, blocks)))}."
    )
    draw = partial(_deletions, report, blocks)
    return svg.figure("deletions", sentence, draw, costs.single_deletions(report))


def kinds(report: Report) -> Figure | None:
    """Both distances per kind of prompt; None where prompts have no kinds."""
    rows = [row for row in report["kinds"] if any(row[protocol] is not None for protocol in PROTOCOLS)]
    if not rows:
        return None
    return svg.figure("kinds", distances.worst_kinds(report), partial(_kinds, rows), distances.kinds(report))


def _block_axis(x: svg.Scale, bottom: float, title: str) -> Markup:
    """Ticks and numbers under a chart over depth, and what they count."""
    parts = [svg.line((x.start - 8, bottom), (x.end + 8, bottom), "axis")]
    for block in x.ticks(30):
        parts.append(svg.line((x(block), bottom), (x(block), bottom + 4), "axis"))
        parts.append(svg.text(x(block), bottom + 17, str(int(block)), "tick", "middle"))
    parts.append(svg.text((x.start + x.end) / 2, bottom + 35, title, "title", "middle"))
    return Markup("").join(parts)


def _profile_sentence(pairs: Sequence[PairRow]) -> str:
    distances_of = [(pair["replacement"], pair["interchange"]) for pair in pairs]
    both = [(larger["max"], swapped["distance"]) for larger, swapped in distances_of if larger and swapped]
    if not both:
        return f"One distance was measured at {len(pairs)} pairs of neighbouring blocks, the other was not."
    above = sum(replacement > interchange for replacement, interchange in both)
    middles = [median(values) for values in zip(*both, strict=True)]
    return (
        f"Replacement lies above interchange at {above} of {len(both)} pairs of neighbouring blocks; the medians are "
        f"{numbers.distance(middles[0])} and {numbers.distance(middles[1])} nats."
    )


def _profile(report: Report, pairs: Sequence[PairRow], width: float, label: str) -> Markup:
    height, top, bottom = 330.0, 44.0, 282.0
    bounds = [report["thresholds"]["similar"], report["thresholds"]["conditional"]]
    values = bounds.copy()
    for pair in pairs:
        for protocol in PROTOCOLS:
            if distance := distance_of(pair, protocol):
                values += [distance["value"], *(distance["interval"] or ())]
    y = svg.log_scale(values, bottom, top)
    x = svg.Scale(min(pair["i"] for pair in pairs), max(pair["i"] for pair in pairs), 52, width - 76)
    figures = {name: [(x(pair["i"]), distance_of(pair, name)) for pair in pairs] for name in PROTOCOLS}
    series = [svg.curve(name, each, y) for name, each in figures.items()]
    # Names stand above their lines; where these lie close together, the lower one's stands below.
    lower = -17.0 if y(bounds[0]) - y(bounds[1]) > 34 else 12.0
    lines = [_threshold(bounds[0], "similar", x, y, lower), _threshold(bounds[1], "conditional", x, y, -17)]
    axis = _block_axis(x, bottom, "earlier block i of the pair (i, i+1)")
    title = svg.text(52, 34, "nats, logarithmic", "title")
    return svg.drawing(
        width, height, label, svg.value_axis(y, x.start, x.end), *lines, axis, *series, svg.legend(52, 12), title
    )


def _threshold(bound: float, name: str, x: svg.Scale, y: svg.Scale, offset: float) -> Markup:
    at = y(bound) + offset
    words = [
        svg.text(x.end + 13, at, name, "note"),
        svg.text(x.end + 13, at + 13, f"below {numbers.declared(bound)}", "note"),
    ]
    return Markup("").join([svg.line((x.start - 8, y(bound)), (x.end + 70, y(bound)), "threshold"), *words])


def _cost(block: BlockRow) -> float:
    """The increase in perplexity of a block whose deletion was measured, in percent."""
    return block["single_deletion_increase_percent"] or 0.0


def _deletions(report: Report, blocks: Sequence[BlockRow], width: float, label: str) -> Markup:
    height, top, bottom = 290.0, 30.0, 242.0
    increases = [_cost(block) for block in blocks]
    ends = [end for block in blocks for end in (block["interval"] or ())]
    high = max(1.0, *increases, *(min(end, 4 * max(increases)) for end in ends))
    y = svg.Scale(max(-90.0, min(0.0, *increases, *ends)), high, bottom, top, "growth")
    x = svg.Scale(0, max(1, report["model"]["blocks"] - 1), 62, width - 14)
    shape, class_ = svg.style("deletion")
    parts = []
    for block in blocks:
        at = (x(block["block"]), y(_cost(block)))
        if block["interval"] is not None:
            low, high = block["interval"]
            parts.append(svg.whisker((at[0], y(low)), (at[0], y(high)), class_))
        hover = f"block {block['block']}: {numbers.percent(_cost(block))}"
        parts.append(svg.mark(shape, at, f"{class_} hollow" if block["excluded"] else class_, hover))
    zero = svg.line((x.start - 8, y(0)), (x.end + 8, y(0)), "baseline")
    excluded = any(block["excluded"] for block in blocks)
    words = f"perplexity increase, logarithmic{'; hollow: excluded' if excluded else ''}"
    axes = [svg.value_axis(y, x.start, x.end, svg.growth_label), zero, _block_axis(x, bottom, "block deleted")]
    return svg.drawing(width, height, label, *axes, *parts, svg.text(10, 14, words, "title"))


def _kinds(rows: Sequence[KindRow], width: float, label: str) -> Markup:
    step, top = 24.0, 44.0
    bottom = top + step * len(rows)
    left = min(150.0, 20 + svg.LETTER * max(len(row["kind"]) for row in rows))
    values = [nats for row in rows for protocol in PROTOCOLS if (nats := row[protocol]) is not None]
    x = svg.log_scale(values, left + 10, width - 14)
    parts = [svg.legend(10, 12)]
    for value in x.ticks(34):
        parts += [
            svg.line((x(value), top - 10), (x(value), bottom), "grid"),
            svg.text(x(value), bottom + 14, f"{value:g}", "tick", "middle"),
        ]
    for place, row in enumerate(rows):
        y = top + step * (place + 0.5)
        measured = {protocol: nats for protocol in PROTOCOLS if (nats := row[protocol]) is not None}
        parts.append(svg.text(left, y + 4, svg.shorten(row["kind"], left), "", "end"))
        parts.append(svg.line((x(min(measured.values())), y), (x(max(measured.values())), y), "link"))
        for protocol, value in measured.items():
            shape, class_ = svg.style(protocol)
            parts.append(
                svg.mark(shape, (x(value), y), class_, f"{row['kind']}, {protocol}: {numbers.distance(value)}")
            )
    parts.append(svg.text((x.start + x.end) / 2, bottom + 32, "nats, logarithmic", "title", "middle"))
    return svg.drawing(width, bottom + 40, label, *parts)

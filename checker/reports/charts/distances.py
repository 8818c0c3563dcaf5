"""The charts over depth and over kinds: distance profiles, single deletions, kinds of prompt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median

from markupsafe import Markup

from checker.core.records import PROTOCOLS, ProtocolName
from checker.judge.figures.form import BlockRow, KindRow, PairRow, distance_of
from checker.judge.form import Report
from checker.reports.charts.svg import (
    LETTER,
    Scale,
    band,
    drawing,
    growth_label,
    line,
    log_scale,
    mark,
    polyline,
    shorten,
    style,
    text,
    whisker,
)
from checker.reports.tables import costs, distances, numbers
from checker.reports.tables.table import Figure, Table

WIDE, NARROW = 760.0, 340.0
Build = Callable[[float], Markup]


def profile(report: Report) -> Figure | None:
    """Both distances of neighbouring blocks over depth; None where none was measured."""
    pairs = distances.adjacent(report)
    if not any(distance_of(pair, protocol) for pair in pairs for protocol in PROTOCOLS):
        return None
    sentence = _profile_sentence(pairs)
    return _figure(
        "profile", sentence, lambda width: _profile(report, pairs, width, sentence), distances.profile(report)
    )


def deletions(report: Report) -> Figure | None:
    """What deleting each block alone costs; None where nothing was measured."""
    blocks = [block for block in report["blocks"] if block["single_deletion_increase_percent"] is not None]
    if not blocks:
        return None
    cost = [block["single_deletion_increase_percent"] or 0.0 for block in blocks]
    worst, best = blocks[cost.index(max(cost))]["block"], blocks[cost.index(min(cost))]["block"]
    sentence = (
        f"Deleting one block alone costs between {numbers.percent(min(cost))} (block {best}) and "
        f"{numbers.percent(max(cost))} (block {worst}) perplexity; the median block costs "
        f"{numbers.percent(median(cost))}."
    )
    table = costs.single_deletions(report)
    return _figure("deletions", sentence, lambda width: _deletions(report, blocks, width, sentence), table)


def kinds(report: Report) -> Figure | None:
    """Both distances per kind of prompt; None where prompts have no kinds."""
    found = [kind for kind in report["kinds"] if any(kind[protocol] is not None for protocol in PROTOCOLS)]
    if not found:
        return None
    sentence = distances.worst_kinds(report)
    return _figure("kinds", sentence, lambda width: _kinds(found, width, sentence), distances.kinds(report))


def legend(entries: Sequence[tuple[str, str]], x: float, y: float) -> Markup:
    """Marks with their names in a row; an entry is (method, words)."""
    parts = []
    for method, words in entries:
        shape, class_ = style(method)
        parts += [
            line((x, y), (x + 22, y), f"line {class_}"),
            mark(shape, (x + 11, y), class_),
            text(x + 28, y + 4, words),
        ]
        x += 28 + LETTER * len(words) + 18
    return Markup("").join(parts)


def block_axis(scale: Scale, top: float, bottom: float, title: str) -> Markup:
    """Ticks and numbers under a chart over depth, and what they count."""
    parts = [
        part
        for value in scale.ticks(30)
        for part in (
            line((scale(value), bottom), (scale(value), bottom + 4), "axis"),
            text(scale(value), bottom + 17, str(int(value)), "tick", "middle"),
        )
    ]
    axis = line((scale.start - 8, bottom), (scale.end + 8, bottom), "axis")
    return Markup("").join([axis, *parts, text((scale.start + scale.end) / 2, bottom + 35, title, "title", "middle")])


def _figure(name: str, sentence: str, build: Build, table: Table) -> Figure:
    return Figure(name, sentence, build(WIDE), build(NARROW), table)


def _profile_sentence(pairs: Sequence[PairRow]) -> str:
    measured = [(pair["replacement"], pair["interchange"]) for pair in pairs]
    both = [(one["max"], other["distance"]) for one, other in measured if one and other]
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
    values = [*bounds]
    for pair in pairs:
        for protocol in PROTOCOLS:
            part = distance_of(pair, protocol)
            values += [] if part is None else [part["value"], *(part["interval"] or ())]
    y = log_scale(values, bottom, top)
    x = Scale(min(pair["i"] for pair in pairs), max(pair["i"] for pair in pairs), 52, width - 76)
    series = [_series(protocol, pairs, x, y) for protocol in PROTOCOLS]
    # Names stand above their lines; where these lie close together, the lower one's stands below.
    lower = -17.0 if y(bounds[0]) - y(bounds[1]) > 34 else 12.0
    lines = [_threshold(bounds[0], "similar", x, y, lower), _threshold(bounds[1], "conditional", x, y, -17)]
    axis = block_axis(x, top, bottom, "earlier block i of the pair (i, i+1)")
    entries = legend([(protocol, protocol) for protocol in PROTOCOLS], 52, 12)
    title = text(52, 34, "nats, logarithmic", "title")
    return drawing(width, height, label, _value_axis(y, x), *lines, axis, *series, entries, title)


def _series(protocol: ProtocolName, pairs: Sequence[PairRow], x: Scale, y: Scale) -> Markup:
    shape, class_ = style(protocol)
    points: list[tuple[float, float] | None] = []
    edges: list[tuple[float, float, float] | None] = []
    for pair in pairs:
        part = distance_of(pair, protocol)
        points.append(None if part is None else (x(pair["i"]), y(part["value"])))
        ends = None if part is None else part["interval"]
        edges.append(None if ends is None else (x(pair["i"]), y(ends[0]), y(ends[1])))
    marks = [mark(shape, point, class_) for point in points if point is not None]
    return Markup("").join([band(edges, f"band {class_}"), polyline(points, f"line {class_}"), *marks])


def _threshold(bound: float, name: str, x: Scale, y: Scale, offset: float) -> Markup:
    at = y(bound) + offset
    words = [text(x.end + 13, at, name, "note"), text(x.end + 13, at + 13, f"below {numbers.declared(bound)}", "note")]
    return Markup("").join([line((x.start - 8, y(bound)), (x.end + 70, y(bound)), "threshold"), *words])


def _value_axis(y: Scale, x: Scale, write: Callable[[float], str] = lambda value: f"{value:g}") -> Markup:
    parts = []
    for value in y.ticks(26):
        parts.append(line((x.start - 8, y(value)), (x.end + 8, y(value)), "grid"))
        parts.append(text(x.start - 13, y(value) + 4, write(value), "tick", "end"))
    return Markup("").join(parts)


def _deletions(report: Report, blocks: Sequence[BlockRow], width: float, label: str) -> Markup:
    height, top, bottom = 290.0, 30.0, 242.0
    cost = [block["single_deletion_increase_percent"] or 0.0 for block in blocks]
    ends = [end for block in blocks for end in (block["interval"] or ())]
    y = Scale(
        max(-90.0, min(0.0, *cost, *ends)),
        max(1.0, *cost, *(min(end, 4 * max(cost)) for end in ends)),
        bottom,
        top,
        "growth",
    )
    x = Scale(0, max(1, report["model"]["blocks"] - 1), 62, width - 14)
    shape, class_ = style("deletion")
    parts = []
    for block, value in zip(blocks, cost, strict=True):
        at = (x(block["block"]), y(value))
        if block["interval"] is not None:
            low, high = block["interval"]
            parts.append(whisker((at[0], y(low)), (at[0], y(high)), class_))
        hover = f"block {block['block']}: {numbers.percent(value)}"
        parts.append(mark(shape, at, f"{class_} hollow" if block["excluded"] else class_, hover))
    zero = line((x.start - 8, y(0)), (x.end + 8, y(0)), "baseline")
    words = "perplexity increase, logarithmic" + (
        "; hollow: excluded" if any(block["excluded"] for block in blocks) else ""
    )
    axis = block_axis(x, top, bottom, "block deleted")
    return drawing(
        width, height, label, _value_axis(y, x, growth_label), zero, axis, *parts, text(10, 14, words, "title")
    )


def _kinds(found: Sequence[KindRow], width: float, label: str) -> Markup:
    step, top = 24.0, 44.0
    bottom = top + step * len(found)
    left = min(150.0, 20 + LETTER * max(len(kind["kind"]) for kind in found))
    values = [nats for kind in found for protocol in PROTOCOLS if (nats := kind[protocol]) is not None]
    x = log_scale(values, left + 10, width - 14)
    parts = [legend([(protocol, protocol) for protocol in PROTOCOLS], 10, 12)]
    for value in x.ticks(34):
        parts += [
            line((x(value), top - 10), (x(value), bottom), "grid"),
            text(x(value), bottom + 14, f"{value:g}", "tick", "middle"),
        ]
    for row, kind in enumerate(found):
        y = top + step * (row + 0.5)
        measured = [(protocol, nats) for protocol in PROTOCOLS if (nats := kind[protocol]) is not None]
        parts.append(text(left, y + 4, shorten(kind["kind"], left), "", "end"))
        parts.append(
            line((x(min(value for _, value in measured)), y), (x(max(value for _, value in measured)), y), "link")
        )
        for protocol, value in measured:
            shape, class_ = style(protocol)
            parts.append(mark(shape, (x(value), y), class_, f"{kind['kind']}, {protocol}: {numbers.distance(value)}"))
    parts.append(text((x.start + x.end) / 2, bottom + 32, "nats, logarithmic", "title", "middle"))
    return drawing(width, bottom + 40, label, *parts)

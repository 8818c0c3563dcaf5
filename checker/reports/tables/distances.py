"""The two distances: pairs over depth, the pair matrix, kinds of prompt, classes and the metric regime."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from checker.reports.tables import numbers
from checker.reports.tables.table import Cell, Field, Record, Table, pairs_of, plain, table, with_interval, within
from checker.reports.tables.words import PAIR_REGIMES


def adjacent(report: Record) -> list[Record]:
    return [pair for pair in report["pairs"] if pair["gap"] == 1]


def profile(report: Record) -> Table:
    """Every adjacent pair with both distances, their ratio, the deletion distance of each member and the regime."""
    fields = [
        Field("Pair", lambda pair: Cell(name(pair))),
        Field("Replacement", within("replacement", with_interval("max", numbers.distance)), numeric=True),
        Field("i←j", within("replacement", plain("forward", numbers.distance)), numeric=True),
        Field("j←i", within("replacement", plain("backward", numbers.distance)), numeric=True),
        Field("Mean", within("replacement", plain("mean", numbers.distance)), numeric=True),
        Field("Interchange", within("interchange", with_interval("distance", numbers.distance)), numeric=True),
        Field("kl_ratio", within("kl_ratio", _ratio), numeric=True),
        Field("Deleting i", within("deletion", plain("i", numbers.distance)), numeric=True),
        Field("Deleting j", within("deletion", plain("j", numbers.distance)), numeric=True),
        Field("Classes", _classes),
        Field("Regime", lambda pair: Cell(PAIR_REGIMES[pair["regime"]])),
        Field("Worst kind", _worst),
        Field("remarks", _remarks, quiet=True),
    ]
    note = (
        "Distances in nats. Replacement is the larger of the two directions; i←j means that position i runs block j. "
        "Classes and worst kinds of prompt: replacement / interchange."
    )
    return table("profile", "Distances of neighbouring blocks", fields, adjacent(report), note)


def matrix(report: Record) -> Table:
    """Every measured pair: replacement below the diagonal, interchange above it."""
    blocks = range(report["model"]["blocks"])
    cells = {}
    for pair in report["pairs"]:
        i, j = pair["i"], pair["j"]
        cells[j, i] = _measured(pair["replacement"], "max")
        cells[i, j] = _measured(pair["interchange"], "distance")

    def column(j: int) -> Field:
        return Field(str(j), lambda i: Cell("–" if i == j else cells.get((i, j), "")))

    fields = [Field("Block", lambda i: Cell(str(i))), *(column(j) for j in blocks)]
    note = (
        "An empty cell was not measured. Intervals, both directions and worst kinds of every pair stand in report.json."
    )
    caption = "Distances in nats: replacement below the diagonal, interchange above it"
    return table("matrix", caption, fields, list(blocks), note)


def kinds(report: Record) -> Table:
    fields = [
        Field("Kind of prompt", plain("kind")),
        Field("Prompts", plain("prompts", numbers.count), numeric=True),
        Field("Replacement", plain("replacement", numbers.distance), numeric=True),
        Field("Interchange", plain("interchange", numbers.distance), numeric=True),
    ]
    caption = "Geometric mean of the distance over neighbouring pairs, in nats, per kind of prompt"
    return table("kinds", caption, fields, report["kinds"])


def worst_kinds(report: Record) -> str:
    """The kind with the largest distance under each protocol, in a sentence."""
    parts = []
    for protocol in ("replacement", "interchange"):
        measured = [kind for kind in report["kinds"] if kind[protocol] is not None]
        if measured:
            worst = max(measured, key=lambda kind: float(kind[protocol]))
            parts.append(f"under {protocol} {worst['kind']} ({numbers.distance(worst[protocol])} nats)")
    return f"Worst kind of prompt: {'; '.join(parts)}." if parts else ""


def classes(report: Record) -> Table:
    """How many adjacent pairs are similar, conditional and distinct, and how many lie below conditional."""
    counted = report["classes"] or {}
    bounds = report["thresholds"]
    similar, conditional = numbers.declared(bounds["similar"]), numbers.declared(bounds["conditional"])
    fields = [
        Field("Protocol", lambda row: Cell(row[0])),
        Field(f"Similar (below {similar})", lambda row: Cell(numbers.count(row[1]["similar"])), numeric=True),
        Field(
            f"Conditional (below {conditional})", lambda row: Cell(numbers.count(row[1]["conditional"])), numeric=True
        ),
        Field("Distinct", lambda row: Cell(numbers.count(row[1]["distinct"])), numeric=True),
        Field("Similar or conditional", lambda row: Cell(numbers.count(row[1]["below_conditional"])), numeric=True),
    ]
    rows = [(protocol, counts) for protocol, counts in counted.items() if counts is not None]
    return table("classes", "Neighbouring pairs per class of distance", fields, rows)


def metric(report: Record) -> Table:
    """The figures behind the metric regime."""
    found = report["regime"]["metric"]
    rank = found["rank_correlation"]
    rows = [
        ("kl_ratio of the geometric means", _with_ends(found["ratio"], found["interval"])),
        ("Geometric mean, replacement", _nats(found["replacement_mean"])),
        ("Geometric mean, interchange", _nats(found["interchange_mean"])),
        ("Neighbouring pairs", numbers.count(found["pairs"])),
        ("Rank correlation of the block scores", None if rank is None else _rank(rank)),
    ]
    for overlap in found["overlap"]:
        least, most = overlap["shared_least"], overlap["shared_most"]
        shared = str(least) if least == most else f"{least} to {most}"
        rows.append((f"Layers both would remove, budget {overlap['budget']}", f"{shared} of {overlap['of']}"))
    return pairs_of("metric", "Metric regime: what the two distances say together", rows)


def name(pair: Record) -> str:
    return f"{pair['i']}–{pair['j']}"


def remarks(report: Record) -> list[str]:
    """Sentences about the floor of the number format, the begin token and pairs that could not be compared."""
    said = []
    floor, begin = report["noise_floor"], report["begin_token"]
    if floor is not None:
        value = f"{numbers.distance(floor['value'])} nats {numbers.interval(floor['interval'])}"
        inside = sum(bool(pair["in_noise"]) for pair in report["pairs"])
        said.append(
            f"Numerical floor of {floor['dtype']}: {value}; {inside} of {len(report['pairs'])} pairs lie inside it."
        )
    if begin is not None:
        said.append(
            f"Baseline perplexity of one window of {numbers.count(begin['window_tokens'])} tokens: "
            f"{numbers.perplexity(begin['with'])} with the begin token, {numbers.perplexity(begin['without'])} without."
        )
    apart = [
        f"{name(pair)} ({pair['reason'] or 'no reason given'})" for pair in report["pairs"] if not pair["comparable"]
    ]
    if apart:
        said.append(f"Not comparable: {'; '.join(apart)}.")
    return said


def _measured(part: Record | None, key: str) -> str:
    return "" if part is None else numbers.distance(part[key])


def _ratio(part: Record) -> Cell:
    return Cell(numbers.ratio(part["value"]), numbers.interval(part["interval"], numbers.ratio))


def _classes(pair: Record) -> Cell:
    found = [pair[protocol]["class"] for protocol in ("replacement", "interchange") if pair[protocol] is not None]
    return Cell(" / ".join(found) or numbers.NOT_MEASURED)


def _remarks(pair: Record) -> Cell:
    said = [pair[key] for key in ("reason", "note") if pair[key]]
    said += [f"{protocol} inside numerical noise" for protocol in pair["in_noise"]]
    return Cell("; ".join(said) or "none")


def _worst(pair: Record) -> Cell:
    found: Any = pair["worst_kind"] or {}
    kinds = [f"{kind['kind']} {numbers.distance(kind['value'])}" for kind in found.values() if kind is not None]
    return Cell(" / ".join(kinds) or "no kinds")


def _with_ends(value: float | None, ends: Sequence[float] | None) -> str | None:
    return None if value is None else f"{numbers.ratio(value)} {numbers.interval(ends, numbers.ratio)}"


def _nats(value: float | None) -> str | None:
    return None if value is None else f"{numbers.distance(value)} nats"


def _rank(rank: Record) -> str:
    ends = numbers.interval(rank["interval"], numbers.correlation)
    return f"{numbers.correlation(rank['value'])} {ends}, {rank['blocks']} blocks"

"""The two distances: pairs over depth, the pair matrix, kinds of prompt, classes and the metric regime."""

from __future__ import annotations

from checker.core.records import PROTOCOLS, ProtocolName
from checker.judge.figures.form import ClassCountRow, KindRow, PairRow, distance_of
from checker.judge.form import Report
from checker.reports.tables import numbers
from checker.reports.tables.table import Cell, Field, Table, figure, pairs_of, table, valued, within


def adjacent(report: Report) -> list[PairRow]:
    return [pair for pair in report["pairs"] if pair["gap"] == 1]


def profile(report: Report) -> Table:
    """Every adjacent pair with both distances, their ratio, the deletion distance of each member and the regime."""
    fields: list[Field[PairRow]] = [
        Field("Pair", lambda pair: Cell(name(pair))),
        Field("Replacement", lambda pair: valued(distance_of(pair, "replacement"), numbers.distance), numeric=True),
        Field("i←j", lambda pair: within(pair["replacement"], lambda row: _nats_of(row["forward"])), numeric=True),
        Field("j←i", lambda pair: within(pair["replacement"], lambda row: _nats_of(row["backward"])), numeric=True),
        Field("Mean", lambda pair: within(pair["replacement"], lambda row: _nats_of(row["mean"])), numeric=True),
        Field("Interchange", lambda pair: valued(distance_of(pair, "interchange"), numbers.distance), numeric=True),
        Field("kl_ratio", lambda pair: valued(pair["kl_ratio"], numbers.ratio), numeric=True),
        Field("Deleting i", lambda pair: within(pair["deletion"], lambda row: _nats_of(row["i"])), numeric=True),
        Field("Deleting j", lambda pair: within(pair["deletion"], lambda row: _nats_of(row["j"])), numeric=True),
        Field("Classes", _classes),
        Field("Regime", lambda pair: Cell(pair["regime"].replace("_", " "))),
        Field("Worst kind", _worst),
        Field("remarks", _remarks, quiet=True),
    ]
    note = (
        "Distances in nats. Replacement is the larger of the two directions; i←j means that position i runs block j. "
        "Classes and worst kinds of prompt: replacement / interchange."
    )
    return table("profile", "Distances of neighbouring blocks", fields, adjacent(report), note)


def matrix(report: Report) -> Table:
    """Every measured pair: replacement below the diagonal, interchange above it."""
    blocks = range(report["model"]["blocks"])
    cells = {at: numbers.distance(value) for at, value in cells_of(report).items()}

    def column(j: int) -> Field[int]:
        return Field(str(j), lambda i: Cell("–" if i == j else cells.get((i, j), "")))

    fields = [Field[int]("Block", lambda i: Cell(str(i))), *(column(j) for j in blocks)]
    note = (
        "An empty cell was not measured. Intervals, both directions and worst kinds of every pair stand in report.json."
    )
    caption = "Distances in nats: replacement below the diagonal, interchange above it"
    return table("matrix", caption, fields, list(blocks), note)


def cells_of(report: Report) -> dict[tuple[int, int], float]:
    """(row, column) -> distance in nats: replacement below the diagonal, interchange above it."""
    cells = {}
    for pair in report["pairs"]:
        if replacement := distance_of(pair, "replacement"):
            cells[pair["j"], pair["i"]] = replacement["value"]
        if interchange := distance_of(pair, "interchange"):
            cells[pair["i"], pair["j"]] = interchange["value"]
    return cells


def kinds(report: Report) -> Table:
    fields: list[Field[KindRow]] = [
        Field("Kind of prompt", lambda row: Cell(row["kind"])),
        Field("Prompts", lambda row: Cell(numbers.count(row["prompts"])), numeric=True),
        Field("Replacement", lambda row: Cell(numbers.distance(row["replacement"])), numeric=True),
        Field("Interchange", lambda row: Cell(numbers.distance(row["interchange"])), numeric=True),
    ]
    caption = "Geometric mean of the distance over neighbouring pairs, in nats, per kind of prompt"
    return table("kinds", caption, fields, report["kinds"])


def worst_kinds(report: Report) -> str:
    """The kind with the largest distance under each protocol, in a sentence."""
    parts = []
    for protocol in PROTOCOLS:
        measured = [(value, kind["kind"]) for kind in report["kinds"] if (value := kind[protocol]) is not None]
        if measured:
            value, worst = max(measured, key=lambda kind: kind[0])
            parts.append(f"under {protocol} {worst} ({numbers.distance(value)} nats)")
    return f"Worst kind of prompt: {'; '.join(parts)}." if parts else ""


def classes(report: Report) -> Table:
    """How many adjacent pairs are similar, conditional and distinct, and how many lie below conditional."""
    bounds = report["thresholds"]
    similar, conditional = numbers.declared(bounds["similar"]), numbers.declared(bounds["conditional"])
    fields: list[Field[tuple[ProtocolName, ClassCountRow]]] = [
        Field("Protocol", lambda row: Cell(row[0])),
        Field(f"Similar (below {similar})", lambda row: Cell(numbers.count(row[1]["similar"])), numeric=True),
        Field(
            f"Conditional (below {conditional})", lambda row: Cell(numbers.count(row[1]["conditional"])), numeric=True
        ),
        Field("Distinct", lambda row: Cell(numbers.count(row[1]["distinct"])), numeric=True),
        Field("Similar or conditional", lambda row: Cell(numbers.count(row[1]["below_conditional"])), numeric=True),
    ]
    classes = report["classes"]
    rows = [(name, counts) for name in PROTOCOLS if classes is not None and (counts := classes[name]) is not None]
    return table("classes", "Neighbouring pairs per class of distance", fields, rows)


def metric(report: Report) -> Table:
    """The figures behind the metric regime."""
    regime = report["regime"]["metric"]
    rank = regime["rank_correlation"]
    rows = [
        ("kl_ratio of the geometric means", str(figure(regime["ratio"], regime["interval"], numbers.ratio))),
        ("Geometric mean, replacement", _nats(regime["replacement_mean"])),
        ("Geometric mean, interchange", _nats(regime["interchange_mean"])),
        ("Neighbouring pairs", numbers.count(regime["pairs"])),
        (
            "Rank correlation of the block scores",
            rank and f"{valued(rank, numbers.correlation)}, {rank['blocks']} blocks",
        ),
    ]
    for overlap in regime["overlap"]:
        least, most = overlap["shared_least"], overlap["shared_most"]
        shared = str(least) if least == most else f"{least} to {most}"
        rows.append((f"Layers both would remove, budget {overlap['budget']}", f"{shared} of {overlap['of']}"))
    return pairs_of("metric", "Metric regime: what the two distances say together", rows)


def name(pair: PairRow) -> str:
    return f"{pair['i']}–{pair['j']}"


def remarks(report: Report) -> list[str]:
    """Sentences about the floor of the number format, the begin token and pairs that could not be compared."""
    sentences = []
    floor, begin = report["noise_floor"], report["begin_token"]
    if floor is not None:
        value = f"{numbers.distance(floor['value'])} nats {numbers.interval(floor['interval'])}"
        inside = sum(bool(pair["in_noise"]) for pair in report["pairs"])
        sentences.append(
            f"Numerical floor of {floor['dtype']}: {value}; {inside} of {len(report['pairs'])} pairs lie inside it."
        )
    if begin is not None:
        sentences.append(
            f"Baseline perplexity of one window of {numbers.count(begin['window_tokens'])} tokens: "
            f"{numbers.perplexity(begin['with'])} with the begin token, {numbers.perplexity(begin['without'])} without."
        )
    apart = [
        f"{name(pair)} ({pair['reason'] or 'no reason given'})" for pair in report["pairs"] if not pair["comparable"]
    ]
    if apart:
        sentences.append(f"Not comparable: {'; '.join(apart)}.")
    return sentences


def _nats_of(value: float) -> Cell:
    return Cell(numbers.distance(value))


def _classes(pair: PairRow) -> Cell:
    distances = [pair[protocol] for protocol in PROTOCOLS]
    return Cell(" / ".join(row["class"] for row in distances if row is not None) or numbers.NOT_MEASURED)


def _remarks(pair: PairRow) -> Cell:
    remarks = [text for text in (pair["reason"], pair["note"]) if text]
    remarks += [f"{protocol} inside numerical noise" for protocol in pair["in_noise"]]
    return Cell("; ".join(remarks) or "none")


def _worst(pair: PairRow) -> Cell:
    worst = pair["worst_kind"]
    kinds = [worst[protocol] for protocol in PROTOCOLS] if worst else []
    texts = [f"{kind['kind']} {numbers.distance(kind['value'])}" for kind in kinds if kind is not None]
    return Cell(" / ".join(texts) or "no kinds")


def _nats(value: float | None) -> str | None:
    return None if value is None else f"{numbers.distance(value)} nats"

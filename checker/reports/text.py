"""The summary a person reads in the terminal: regime, cost per arm, claims, findings."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import wrap

from checker.core import escape
from checker.judge.form import AnyReport, Report
from checker.reports import published
from checker.reports.format import Format
from checker.reports.tables import arms, claims, costs, distances, facts, numbers
from checker.reports.tables.comparison import Comparison, comparisons, groups
from checker.reports.tables.table import Table
from checker.reports.tables.words import MARKS, OUTCOMES

_FEW = 6  # methods whose every arm is told on the terminal


def summary(report: AnyReport, width: int = 80) -> str:
    """The summary in lines of at most ``width`` columns (40 at least), save where a single word is longer."""
    safe: AnyReport = escape.clean(report)
    if safe["format"] == published.NAME:
        parts = [*published.lines(safe), _waivers(safe)]
    else:
        parts = [_head(safe), _regime(safe), _arms(safe), _claims(safe), _findings(safe), _waivers(safe)]
    room = max(40, width)
    text = "\n\n".join("\n".join(_fill(line, room) for line in part) for part in parts if part) + "\n"
    return escape.no_command(text)


def _head(report: Report) -> list[str]:
    outcome = report["outcome"]
    told = f"{MARKS[outcome]} {OUTCOMES[outcome]}: {report['summary']}"
    return [report["title"], told, f"Policy, {facts.policy(report)}"]


def _regime(report: Report) -> list[str]:
    metric = report["regime"]["metric"]
    ratio = "" if metric["ratio"] is None else f", kl_ratio {distances.metric(report).rows[0][1]}"
    lines = ["Regime", f"  metric: {metric['name']}{ratio}, {metric['pairs']} neighbouring pairs"]
    for row in costs.removal(report).rows:
        budget, regime, difference, margin = (str(cell) for cell in row[:4])
        lines.append(
            f"  removal of {budget}: {regime}, replacement − interchange {difference} nats per token (margin {margin})"
        )
    return lines


def _arms(report: Report) -> list[str]:
    first, native, further = comparisons(report)
    if not first.chosen:
        return []
    lines = [f"Perplexity increase over the baseline ({_baseline(report)})"]
    few = len({arm["method"] for arm in first.chosen}) <= _FEW
    overview = arms.overview(first)
    lines += _every(overview) if few else _best(first)
    size = max(len(row[0].text) for row in overview.rows)
    for control in first.random:
        low, _, high = (numbers.percent(quartile) for quartile in control["quartiles"])
        budget = str(control["budget"]).rjust(size)
        lines.append(f"  {budget} removed  random: middle half of {control['draws']} draws {low} to {high}")
    lines += _note(overview)
    if native or further:
        sets = "set" if len(further) == 1 else "sets"
        left = [f"{len(further)} further {sets} of constraints"] if further else []
        left += ["native forms"] if native else []
        lines.append(f"  In the report beside these: {', '.join(left)}.")
    return lines


def _every(overview: Table) -> list[str]:
    """Each method's cost at each budget."""
    places = {column.title: place for place, column in enumerate(overview.columns)}
    shown = [(*row[:2], row[places["Perplexity increase"]], row[places["Layers"]]) for row in overview.rows]
    sizes = [max(len(row[place].text) for row in shown) for place in range(2)]
    return [
        f"  {budget.text.rjust(sizes[0])} removed  {method.text.ljust(sizes[1])}  {increase.text} {increase.aside}  "
        f"{layers}".rstrip()
        for budget, method, increase, layers in shown
    ]


def _best(found: Comparison) -> list[str]:
    """At each budget the three cheapest methods and the dearest, where there are too many to name all."""
    lines = []
    for budget in sorted({arm["budget"] for arm in found.chosen}):
        costs = {
            method: max(arm["increase_percent"] or 0.0 for arm in group)
            for (size, method), group in groups(found.chosen).items()
            if size == budget and all(arm["increase_percent"] is not None for arm in group)
        }
        order = sorted(costs, key=lambda method: costs[method])
        named = [f"{method} {numbers.percent(costs[method])}" for method in [*order[:3], *order[3:][-1:]]]
        dearest = f"; dearest of {len(order)}: {named[3]}" if len(named) > 3 else ""
        lines.append(f"  {budget} removed  {', '.join(named[:3]) or numbers.NOT_MEASURED}{dearest}")
    return lines


def _baseline(report: Report) -> str:
    return (
        numbers.NOT_MEASURED
        if report["baseline"] is None
        else f"perplexity {numbers.perplexity(report['baseline']['perplexity'])}"
    )


def _note(table: Table) -> list[str]:
    return [
        f"  {numbers.NO_INTERVAL}"
        for _ in range(any(cell.aside == "no interval" for row in table.rows for cell in row))
    ]


def _claims(report: Report) -> list[str]:
    lines = ["Claims"] if report["claims"] else ["No claims"]
    for claim in claims.claims(report):
        bound = f", bound {claim.bound}" if claim.bound else ""
        figure = f", measured {claim.measured}{bound}" if claim.measured else ""
        lines += [f"  {claim.verdict.mark} {claim.id}: {claim.verdict.text}{figure}", f"      {claim.says}"]
        lines += [f"      {claim.message}", *_backing(claim)]
    return lines


def _backing(claim: claims.ClaimView) -> Iterator[str]:
    for reading in filter(None, claim.readings):
        if reading.backs.word == "na":
            continue  # a claim that no protocol could back
        answer = {"yes": "backs it", "no": "does not back it"}.get(reading.backs.text, "open whether it backs it")
        criteria = ", ".join(f"{name} {cell.text}" for name, cell in reading.criteria)
        yield f"      {reading.protocol} {answer}{f' ({criteria})' if criteria else ''}: {reading.why}"


def _findings(report: Report) -> list[str]:
    found = [*claims.findings(report, "fail"), *claims.findings(report, "open")]
    aside = sum(bool(finding.waived) for finding in found)
    told = f", {aside} of them waived" if aside else ""
    lines = [f"Findings that failed or are open{told}" if found else "No finding failed or is open"]
    for finding in found:
        claim = f", claim {finding.claim}" if finding.claim else ""
        waived = f" (waived: {finding.waived})" if finding.waived else ""
        lines.append(f"  {finding.outcome.mark} {finding.level} {finding.rule}{claim}: {finding.message}{waived}")
    return lines


def _waivers(report: AnyReport) -> list[str]:
    if not report["waivers"]:
        return []
    lines = [f"Waivers: {claims.waiver_counts(report)}"]
    for rule, claim, state, findings, day, reason in claims.waivers(report).rows:
        matches = f"{findings} {'finding' if findings.text == '1' else 'findings'}"
        lines.append(f"  {state}: {rule}, {claim}, {matches}, until {day.text} ({day.aside}): {reason}")
    return lines


def _fill(line: str, width: int) -> str:
    """Wraps a line; what follows hangs two columns further in than its start."""
    indent = " " * (len(line) - len(line.lstrip()))
    hanging = indent + "  " if indent else ""
    # An unbreakable space keeps a figure and its unit together; it is an ordinary one on the terminal.
    filled = wrap(
        line.strip(" "),
        width,
        initial_indent=indent,
        subsequent_indent=hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(filled).replace("\u00a0", " ")


def _render(report: AnyReport) -> str:
    return summary(report)


FORMAT = Format("text", "report.txt", _render)

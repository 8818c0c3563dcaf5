"""The summary a person reads in the terminal: regime, cost per arm, claims, findings."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import wrap

from checker.core import escape
from checker.core.words import counted
from checker.judge.form import PUBLISHED_FORMAT, AnyReport, Report
from checker.reports import published
from checker.reports.format import Format
from checker.reports.tables import arms, claims, costs, distances, facts, numbers, released, tasks
from checker.reports.tables.comparison import Comparison, comparisons, groups
from checker.reports.tables.table import Table

_FEW = 6  # methods whose every arm stands on the terminal


def summary(report: AnyReport, width: int = 80) -> str:
    """The summary in lines of at most ``width`` columns (40 at least), save where a single word is longer."""
    safe: AnyReport = escape.clean(report)
    if safe["format"] == PUBLISHED_FORMAT:
        parts = [*published.lines(safe), _waivers(safe)]
    else:
        head = [safe["title"], facts.verdict(safe), f"Policy, {facts.policy(safe)}"]
        figures = [_regime(safe), _arms(safe), _released(safe), _tasks(safe)]
        parts = [head, *figures, _claims(safe), _findings(safe), _waivers(safe)]
    room = max(40, width)
    text = "\n\n".join("\n".join(_fill(line, room) for line in part) for part in parts if part) + "\n"
    return escape.no_command(text)


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
    baseline = report["baseline"]
    unchanged = f"perplexity {numbers.perplexity(baseline['perplexity'])}" if baseline else numbers.NOT_MEASURED
    lines = [f"Perplexity increase over the baseline ({unchanged})"]
    few = len({arm["method"] for arm in first.chosen}) <= _FEW
    overview = arms.overview(first)
    lines += _every(overview) if few else _best(first)
    size = max(len(row[0].text) for row in overview.rows)
    for control in first.random:
        low, _, high = (numbers.percent(quartile) for quartile in control["quartiles"])
        budget = str(control["budget"]).rjust(size)
        lines.append(f"  {budget} removed  random: middle half of {control['draws']} draws {low} to {high}")
    if any(cell.aside == "no interval" for row in overview.rows for cell in row):
        lines.append(f"  {numbers.NO_INTERVAL}")
    if native or further:
        left = [f"{counted(len(further), 'further set')} of constraints"] if further else []
        left += ["native forms"] if native else []
        lines.append(f"  In the report beside these: {', '.join(left)}.")
    return lines


def _released(report: Report) -> list[str]:
    """Each checkpoint's perplexity beside the model's and the raw removal's."""
    lines = []
    for checkpoint in released.checkpoints(report):
        lines.append(f"  {checkpoint.heading}")
        rows = {row[0].text: row[1:] for row in checkpoint.table.rows}
        titles = [column.title for column in checkpoint.table.columns][1:]
        for name in ("Perplexity", "Perplexity increase", "KL from the model, nats"):
            cells = [f"{title} {cell}" for title, cell in zip(titles, rows[name], strict=True) if cell.text != "–"]
            lines.append(f"    {name}: {'; '.join(cells)}")
    return ["What is released", *lines] if lines else []


def _tasks(report: Report) -> list[str]:
    """Each score on each task beside the model's."""
    lines = []
    for task in report["tasks"]:
        for metric in task["metrics"]:
            lines.append(f"  {task['name']}, {metric['metric']}, {tasks.asked(task)}, {task['evidence']}")
            lines.append(f"    Model: {tasks.score(metric, metric['model'])}")
            for side in metric["sides"]:
                change = f", {tasks.difference(metric, side['difference'])}" if side["difference"] else ""
                lines.append(f"    {side['name']}: {tasks.score(metric, side['score'])}{change}")
    return ["Scores on tasks", *lines] if lines else []


def _every(overview: Table) -> list[str]:
    """Each method's cost at each budget."""
    places = {column.title: place for place, column in enumerate(overview.columns)}
    rows = [(*row[:2], row[places["Perplexity increase"]], row[places["Layers"]]) for row in overview.rows]
    sizes = [max(len(row[place].text) for row in rows) for place in range(2)]
    return [
        f"  {budget.text.rjust(sizes[0])} removed  {method.text.ljust(sizes[1])}  {increase.text} {increase.aside}  "
        f"{layers}".rstrip()
        for budget, method, increase, layers in rows
    ]


def _best(comparison: Comparison) -> list[str]:
    """At each budget the three cheapest methods and the dearest, where there are too many to name all."""
    costs: dict[int, list[tuple[float, str]]] = {arm["budget"]: [] for arm in comparison.chosen}
    for (budget, method), group in groups(comparison.chosen).items():
        if len(arms.measured_arms(group)) == len(group):
            costs[budget].append((max(map(arms.cost, group)), method))
    lines = []
    for budget, methods in sorted(costs.items()):
        methods.sort(key=lambda pair: pair[0])
        texts = [f"{method} {numbers.percent(cost)}" for cost, method in methods]
        dearest = f"; dearest of {len(texts)}: {texts[-1]}" if len(texts) > 3 else ""
        lines.append(f"  {budget} removed  {', '.join(texts[:3]) or numbers.NOT_MEASURED}{dearest}")
    return lines


def _claims(report: Report) -> list[str]:
    lines = ["Claims"] if report["claims"] else ["No claims"]
    for claim in claims.claims(report):
        bound = f", bound {claim.bound}" if claim.bound else ""
        known = "" if claim.measured == numbers.NOT_MEASURED else "measured "
        figure = f", {known}{claim.measured}{bound}" if claim.measured else ""
        lines += [f"  {claim.verdict.mark} {claim.id}: {claim.verdict.text}{figure}", f"      {claim.decided}"]
        lines += [f"      In its own words: {claim.says}"] if claim.says else []
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
    findings = claims.standing(report)
    aside = sum(bool(finding.waived) for finding in findings)
    waived = f", {aside} of them waived" if aside else ""
    lines = [f"Findings that failed or are open{waived}" if findings else "No finding failed or is open"]
    for finding in findings:
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


FORMAT = Format("text", "report.txt", summary)

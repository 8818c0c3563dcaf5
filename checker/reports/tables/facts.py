"""What fixes the figures and what they cost: model, contracts, thresholds, environment, effort."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from checker.judge.figures.form import BaselineRow
from checker.judge.form import AnyReport, EvaluationRow, PromptsRow, Report
from checker.reports.tables import numbers
from checker.reports.tables.table import Table, pairs_of
from checker.reports.tables.words import MARKS
from checker.spec.policies import PolicyRow, built_on

_UNKNOWN = "not recorded"
_INDEPENDENT = ", which the audit declares independent of each other"


def model(report: Report) -> Table:
    facts = report["model"]
    per_block = sorted(set(facts["block_parameters"]))
    spread = " to ".join(map(numbers.count, dict.fromkeys(per_block[:1] + per_block[-1:]))) or _UNKNOWN
    rows = [
        ("Source", f"{facts['source']} ({facts['kind']})"),
        ("Architecture", facts["architecture"]),
        ("Blocks", numbers.count(facts["blocks"])),
        ("Parameters", f"{numbers.count(facts['parameters'])}, of which {spread} per block"),
        ("Width, vocabulary", f"{numbers.count(facts['hidden'])}, {numbers.count(facts['vocabulary'])}"),
        ("Context", _UNKNOWN if facts["context"] is None else f"{numbers.count(facts['context'])} tokens"),
        ("Ran in", facts["dtype"]),
        ("De-quantised from", facts["quantization"] or "nothing"),
        ("Revision", facts["revision"] or _UNKNOWN),
        *([("Code that came with it", "was allowed to run")] if facts.get("remote_code") else []),
        ("sha256 of the weights", facts["digest"] or _UNKNOWN),
        ("sha256 of the tokenizer", facts["tokenizer_digest"]),
    ]
    return pairs_of("model", "Model", rows)


def scoring(report: Report) -> Table:
    rows = _prompts(report["contracts"]["scoring"])
    rows.insert(-1, ("Replacement scores a block", report["direction"]))
    return pairs_of("scoring", "Scoring contract: what fixes a distance", rows)


def selection(report: Report) -> Iterator[Table]:
    """The contract of the text that methods choose on by loss, where it is another than the scoring text."""
    if contract := report["contracts"].get("selection"):
        caption = "Selection contract: the text that methods choose on by its loss"
        yield pairs_of("selection", caption, _prompts(contract))


def _prompts(contract: PromptsRow) -> list[tuple[str, str | None]]:
    """The rows of a contract over prompts."""
    kinds = ", ".join(f"{kind} {numbers.count(prompts)}" for kind, prompts in contract["kinds"].items())
    return [
        ("Digest of the contract", contract["digest"]),
        ("Text", contract["text"]),
        ("sha256 of the text", contract["text_digest"] or _UNKNOWN),
        (
            "Prompts",
            f"{numbers.count(contract['prompts'])} of {numbers.count(contract['tokens'])} tokens, "
            f"assembled as {contract['assembly']}{_INDEPENDENT if contract['independent'] else ''}",
        ),
        ("Kinds of prompt", kinds or "none named"),
        ("Positions", contract["positions"]),
        ("Special tokens", contract["special_tokens"]),
        ("Batch", f"{numbers.count(contract['batch_tokens'])} tokens, {contract['dtype']}"),
        ("sha256 of the token ids", contract["tokens_digest"] or _UNKNOWN),
    ]


def evaluation(report: Report) -> Table:
    contract = report["contracts"]["evaluation"]
    scored = f"{numbers.count(contract['tokens_scored'])} of {numbers.count(contract['tokens'])}"
    baseline = report["baseline"]
    rows = [
        ("Digest of the contract", contract["digest"]),
        ("Text", contract["text"]),
        ("sha256 of the text", contract["text_digest"] or _UNKNOWN),
        ("Words", "all" if contract["words"] is None else f"the first {numbers.count(contract['words'])}"),
        ("Windows", _windows(contract)),
        ("At a window's edge", contract["boundary"]),
        ("Tokens scored", numbers.NOT_MEASURED if contract["tokens_scored"] is None else scored),
        ("Special tokens", contract["special_tokens"]),
        ("Batch", f"{numbers.count(contract['batch_tokens'])} tokens, {contract['dtype']}"),
        ("sha256 of the token ids", contract["tokens_digest"] or _UNKNOWN),
        ("Baseline perplexity", None if baseline is None else _baseline(baseline)),
    ]
    return pairs_of("evaluation", "Evaluation contract: what fixes a perplexity", rows)


def thresholds(report: Report) -> Table:
    bounds = report["thresholds"]
    rows = [
        (
            "Similar, conditional",
            f"below {numbers.declared(bounds['similar'])}, below {numbers.declared(bounds['conditional'])} nats",
        ),
        ("Gap where kl_ratio is below", numbers.declared(bounds["divergent_ratio"])),
        ("Margin of a tie in removal", f"{numbers.declared(bounds['margin'])} nats per token"),
        ("Intervals", f"{numbers.share(bounds['confidence'])}, {bounds['interval'].replace('_', ' ')}"),
        *([("Constraints of verdicts and regimes", bounds["selection"])] if "selection" in bounds else []),
        ("Spacing between removed blocks", str(bounds["spacing"])),
        ("Excluded blocks", numbers.layers(bounds["exclude"])),
        ("Ties", bounds["ties"]),
    ]
    return pairs_of("thresholds", "Thresholds, set before measuring", rows)


def audit(report: Report) -> Table:
    source, tool = report["audit"], report["tool"]
    rows = [
        ("Audit", f"{source['name']} ({source['file']})"),
        ("sha256 of the audit file", source["digest"]),
        ("Made by", f"{tool['name']} {tool['version']}, measuring code {tool['measuring_code']}"),
    ]
    return pairs_of("audit", "Audit", rows)


_FAILS = {"note": "every finding", "warning": "warnings and errors", "error": "errors", "never": "nothing"}


def verdict(report: AnyReport) -> str:
    """The sentence of the verdict, behind its mark."""
    return f"{MARKS[report['outcome']]} {report['summary']}"


def sentence(report: AnyReport) -> tuple[str, str]:
    """The sentence of the verdict in two parts: what came out, which formats set off, and the rest."""
    came_out, _, rest = report["summary"].partition(": ")
    return came_out, rest


def policy(report: AnyReport) -> str:
    """The policy in force, in a line."""
    rules = report["policy"]
    built = f"built on {built_on(rules['extends'])}" if rules["extends"] else "the audit's own"
    parts = [f"fails on {_FAILS[rules['fail_on']]}"]
    if rules["required_methods"]:
        parts.append(f"requires {', '.join(rules['required_methods'])}")
    if rules["required_budgets"]:
        parts.append(f"at budgets {', '.join(map(str, rules['required_budgets']))}")
    if rules["minimum_windows"] is not None:
        parts.append(f"at least {numbers.count(rules['minimum_windows'])} windows")
    if rules["maximum_interval_width_percent"] is not None:
        parts.append(f"intervals at most {numbers.declared(rules['maximum_interval_width_percent'], '%')} wide")
    parts += _bounds(rules)
    if rules["maximum_waivers"] is not None:
        parts.append(f"at most {numbers.count(rules['maximum_waivers'])} waivers")
    if rules["maximum_waiver_days"] is not None:
        parts.append(f"each for at most {numbers.count(rules['maximum_waiver_days'])} days")
    if rules["rules"]:
        parts.append(f"levels set: {numbers.count(len(rules['rules']))}")
    return f"{built}: {', '.join(parts)}"


def _bounds(rules: PolicyRow) -> Iterator[str]:
    """What a policy lets an audit declare, and what claims have to rest on."""
    if rules["minimum_confidence"] is not None:
        yield f"intervals of at least {numbers.share(rules['minimum_confidence'])}"
    if rules["maximum_margin"] is not None:
        yield f"a margin of at most {numbers.declared(rules['maximum_margin'])} nats per token"
    if rules["maximum_within"] is not None:
        yield f"claimed costs within {numbers.declared(rules['maximum_within'], '%')}"
    if rules["minimum_resamples"] is not None:
        yield f"at least {numbers.count(rules['minimum_resamples'])} resamples"
    if rules["minimum_pairs"] is not None:
        yield f"at least {numbers.share(rules['minimum_pairs'])} of the adjacent pairs"
    if rules["minimum_draws"] is not None:
        yield f"at least {numbers.count(rules['minimum_draws'])} random draws at each claimed budget"


def cost(report: Report) -> Table:
    effort = report["cost"]
    runs, without = effort["block_runs"], effort["block_runs_without_sharing"]
    saved = f", {numbers.ratio(without / runs)} times as many" if runs else ""
    rows = [
        ("Time", numbers.seconds(effort["seconds"])),
        ("Layouts", numbers.count(effort["layouts"])),
        ("Block runs", numbers.count(runs)),
        ("Block runs without shared prefixes", f"{numbers.count(without)}{saved}"),
        ("Tokens", numbers.count(effort["tokens"])),
        ("Peak memory", numbers.size(effort["peak_memory_bytes"])),
    ]
    return pairs_of("effort", "What measuring cost", rows)


def environment(report: Report) -> Table:
    titles = ("Device", "Processor", "Threads", "Attention", "Platform", "Python", "torch", "transformers", "Started",
              "Finished")  # fmt: skip
    machine: Mapping[str, object] = report["environment"] or {}
    rows = [(title, machine[title.lower()]) for title in titles if machine.get(title.lower()) is not None]
    return pairs_of("machine", "Where the figures were measured", [(title, str(value)) for title, value in rows])


def _windows(contract: EvaluationRow) -> str:
    windows = contract["windows"]
    cut = f"{numbers.count(contract['window'])} tokens every {numbers.count(contract['stride'])}"
    return f"{cut}, number not measured" if windows is None else f"{numbers.count(windows)} of {cut}"


def perplexity(baseline: BaselineRow) -> str:
    """The unchanged model's perplexity and its interval."""
    return f"{numbers.perplexity(baseline['perplexity'])} {numbers.interval(baseline['interval'], numbers.perplexity)}"


def _baseline(baseline: BaselineRow) -> str:
    per_token = f"{numbers.distance(baseline['nll_per_token'])} nats per token"
    return f"{perplexity(baseline)}, {per_token} over {_effective(baseline)}"


def _effective(baseline: BaselineRow) -> str:
    """The windows, and how many independent ones they amount to where that is fewer."""
    windows, effective = baseline["windows"], baseline["effective_windows"]
    counted = f"{numbers.count(windows)} windows"
    return counted if effective is None or effective > windows - 0.5 else f"{counted} ({effective:.1f} effective)"

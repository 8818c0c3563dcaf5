"""What fixes the figures and what they cost: model, contracts, thresholds, environment, effort."""

from __future__ import annotations

from checker.judge.figures.form import BaselineRow
from checker.judge.form import AnyReport, EvaluationRow, PromptsRow, Report
from checker.reports.tables import numbers
from checker.reports.tables.table import Table, pairs_of

_UNKNOWN = "not recorded"


def model(report: Report) -> Table:
    found = report["model"]
    per_block = sorted(set(found["block_parameters"]))
    spread = (
        " to ".join(dict.fromkeys(numbers.count(value) for value in (per_block[0], per_block[-1])))
        if per_block
        else _UNKNOWN
    )
    rows = [
        ("Source", f"{found['source']} ({found['kind']})"),
        ("Architecture", found["architecture"]),
        ("Blocks", numbers.count(found["blocks"])),
        ("Parameters", f"{numbers.count(found['parameters'])}, of which {spread} per block"),
        ("Width, vocabulary", f"{numbers.count(found['hidden'])}, {numbers.count(found['vocabulary'])}"),
        ("Context", _tokens(found["context"])),
        ("Ran in", found["dtype"]),
        ("De-quantised from", found["quantization"] or "nothing"),
        ("Revision", found["revision"] or _UNKNOWN),
        *([("Code that came with it", "was allowed to run")] if found.get("remote_code") else []),
        ("sha256 of the weights", found["digest"] or _UNKNOWN),
        ("sha256 of the tokenizer", found["tokenizer_digest"]),
    ]
    return pairs_of("model", "Model", rows)


def scoring(report: Report) -> Table:
    rows = _prompts(report["contracts"]["scoring"])
    rows.insert(-1, ("Replacement scores a block", report["direction"]))
    return pairs_of("scoring", "Scoring contract: what fixes a distance", rows)


def selection(report: Report) -> Table | None:
    """The contract of the text that methods choose on by loss; None where it is the scoring text."""
    found = report["contracts"].get("selection")
    if found is None:
        return None
    return pairs_of("selection", "Selection contract: the text that methods choose on by its loss", _prompts(found))


def _prompts(found: PromptsRow) -> list[tuple[str, str | None]]:
    """The rows of a contract over prompts."""
    kinds = ", ".join(f"{kind} {numbers.count(prompts)}" for kind, prompts in found["kinds"].items())
    return [
        ("Digest of the contract", found["digest"]),
        ("Text", found["text"]),
        ("sha256 of the text", found["text_digest"] or _UNKNOWN),
        (
            "Prompts",
            f"{numbers.count(found['prompts'])} of {numbers.count(found['tokens'])} tokens, "
            f"assembled as {found['assembly']}",
        ),
        ("Kinds of prompt", kinds or "none named"),
        ("Positions", found["positions"]),
        ("Special tokens", found["special_tokens"]),
        ("Batch", f"{numbers.count(found['batch_tokens'])} tokens, {found['dtype']}"),
        ("sha256 of the token ids", found["tokens_digest"] or _UNKNOWN),
    ]


def evaluation(report: Report) -> Table:
    found = report["contracts"]["evaluation"]
    scored = f"{numbers.count(found['tokens_scored'])} of {numbers.count(found['tokens'])}"
    baseline = report["baseline"]
    rows = [
        ("Digest of the contract", found["digest"]),
        ("Text", found["text"]),
        ("sha256 of the text", found["text_digest"] or _UNKNOWN),
        ("Words", "all" if found["words"] is None else f"the first {numbers.count(found['words'])}"),
        ("Windows", _windows(found)),
        ("At a window's edge", found["boundary"]),
        ("Tokens scored", numbers.NOT_MEASURED if found["tokens_scored"] is None else scored),
        ("Special tokens", found["special_tokens"]),
        ("Batch", f"{numbers.count(found['batch_tokens'])} tokens, {found['dtype']}"),
        ("sha256 of the token ids", found["tokens_digest"] or _UNKNOWN),
        ("Baseline perplexity", None if baseline is None else _baseline(baseline)),
    ]
    return pairs_of("evaluation", "Evaluation contract: what fixes a perplexity", rows)


def thresholds(report: Report) -> Table:
    found = report["thresholds"]
    rows = [
        (
            "Similar, conditional",
            f"below {numbers.declared(found['similar'])}, below {numbers.declared(found['conditional'])} nats",
        ),
        ("Gap where kl_ratio is below", numbers.declared(found["divergent_ratio"])),
        ("Margin of a tie in removal", f"{numbers.declared(found['margin'])} nats per token"),
        ("Intervals", f"{numbers.share(found['confidence'])}, {found['interval'].replace('_', ' ')}"),
        *([("Constraints of verdicts and regimes", found["selection"])] if "selection" in found else []),
        ("Spacing between removed blocks", str(found["spacing"])),
        ("Excluded blocks", numbers.layers(found["exclude"])),
        ("Ties", found["ties"]),
    ]
    return pairs_of("thresholds", "Thresholds, set before measuring", rows)


def audit(report: Report) -> Table:
    found, tool = report["audit"], report["tool"]
    rows = [
        ("Audit", f"{found['name']} ({found['file']})"),
        ("sha256 of the audit file", found["digest"]),
        ("Made by", f"{tool['name']} {tool['version']}, measuring code {tool['measuring_code']}"),
    ]
    return pairs_of("audit", "Audit", rows)


_FAILS = {"note": "every finding", "warning": "warnings and errors", "error": "errors", "never": "nothing"}


def policy(report: AnyReport) -> str:
    """The policy in force, in a line."""
    found = report["policy"]
    built = f"built on {', '.join(found['extends'])}" if found["extends"] else "the audit's own"
    parts = [f"fails on {_FAILS[found['fail_on']]}"]
    if found["required_methods"]:
        parts.append(f"requires {', '.join(found['required_methods'])}")
    if found["required_budgets"]:
        parts.append(f"at budgets {', '.join(map(str, found['required_budgets']))}")
    if found["minimum_windows"] is not None:
        parts.append(f"at least {numbers.count(found['minimum_windows'])} windows")
    if found["maximum_interval_width_percent"] is not None:
        parts.append(f"intervals at most {numbers.declared(found['maximum_interval_width_percent'], '%')} wide")
    if found["maximum_waivers"] is not None:
        parts.append(f"at most {numbers.count(found['maximum_waivers'])} waivers")
    if found["rules"]:
        parts.append(f"levels set: {numbers.count(len(found['rules']))}")
    return f"{built}: {', '.join(parts)}"


def cost(report: Report) -> Table:
    found = report["cost"]
    runs, without = found["block_runs"], found["block_runs_without_sharing"]
    saved = f", {numbers.ratio(without / runs)} times as many" if runs else ""
    rows = [
        ("Time", numbers.seconds(found["seconds"])),
        ("Layouts", numbers.count(found["layouts"])),
        ("Block runs", numbers.count(runs)),
        ("Block runs without shared prefixes", f"{numbers.count(without)}{saved}"),
        ("Tokens", numbers.count(found["tokens"])),
        ("Peak memory", numbers.size(found["peak_memory_bytes"])),
    ]
    return pairs_of("effort", "What measuring cost", rows)


def environment(report: Report) -> Table:
    found, rows = report["environment"], []
    if found is not None:
        rows = [
            ("Device", found["device"]),
            ("Processor", found["processor"]),
            ("Threads", found["threads"]),
            ("Platform", found["platform"]),
            ("Python", found["python"]),
            ("torch", found["torch"]),
            ("transformers", found["transformers"]),
            ("Started", found["started"]),
            ("Finished", found["finished"]),
        ]
    known = [(title, str(value)) for title, value in rows if value is not None]
    return pairs_of("machine", "Where the figures were measured", known)


def _windows(found: EvaluationRow) -> str:
    cut = f"{numbers.count(found['window'])} tokens every {numbers.count(found['stride'])}"
    return f"{cut}, number not measured" if found["windows"] is None else f"{numbers.count(found['windows'])} of {cut}"


def _tokens(value: int | None) -> str:
    return _UNKNOWN if value is None else f"{numbers.count(value)} tokens"


def _baseline(baseline: BaselineRow) -> str:
    value = f"{numbers.perplexity(baseline['perplexity'])} {numbers.interval(baseline['interval'], numbers.perplexity)}"
    per_token = f"{numbers.distance(baseline['nll_per_token'])} nats per token"
    return f"{value}, {per_token} over {numbers.count(baseline['windows'])} windows"

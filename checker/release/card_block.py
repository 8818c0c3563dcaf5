"""The block and the front matter that a model card gets from an evidence pack. Writes files only; sends nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from checker.checkpoints import model_card
from checker.core.escape import visible
from checker.core.words import numbered
from checker.judge.figures.form import CheckpointRow, RemovalRow, SideRow, ValueRow
from checker.judge.form import ClaimRow, ContractsRow, ModelRow, Report, WaiverRow, checkpoints_of
from checker.release import front_matter
from checker.release.front_matter import Metadata, Result
from checker.release.pack import Pack, sealed_report
from checker.release.replay import judging_of
from checker.reports.format import environment
from checker.reports.tables import claims, facts, numbers, tasks
from checker.reports.tables.words import MARKS
from checker.spec.claims.removal import MEASURES
from checker.spec.policies import built_on

LONGEST = 40  # lines of a block, markers included
_CLAIMS, _WAIVERS, _BUDGETS, _RESULTS, _CHECKPOINTS = 12, 5, 6, 20, 3  # at most so many are listed
_LONG, _SHORT = 1200, 240  # characters
_WORST_FIRST = ("contradicted", "open", "supported")
_REPOSITORY = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*", re.ASCII)


@dataclass(frozen=True)
class Source:
    """What a card is made from: an opened pack, its report, which is valid, and its audit with defaults filled in."""

    pack: Pack
    report: Report
    audit: Mapping[str, Any]
    day: date  # of judging


def source(pack: Pack) -> Source:
    """The report and the audit of a pack; EvidenceDamaged where they are not what packs hold."""
    audit = pack.mapping("audit.json", "the audit as `pack` resolved it")
    return Source(pack, sealed_report(pack), audit, judging_of(pack).day)


def written(text: str, source: Source, file: str, *, block_only: bool = False) -> str:
    """The card with the pack's block and, unless ``block_only``, its front matter; every other byte of the text stays.

    UsageError where the card cannot be changed in place, CannotRun where a package is missing.
    """
    text = model_card.with_block(text, block(source), file)
    return text if block_only else front_matter.merged(text, metadata(source), file)


def disagreement(text: str, expected: str, file: str) -> str | None:
    """The first line in which a card is not what the pack makes of it; None where it is."""
    if text == expected:
        return None
    if model_card.find_block(text, file) is None:
        return f"{file}: found no pruneaudit block; expected that of the pack"
    own, sealed = (re.split(r"\r\n|\n|\r", whole) for whole in (text, expected))
    pairs = list(zip([*own, ""], [*sealed, ""], strict=False))
    number = next((number for number, pair in enumerate(pairs) if pair[0] != pair[1]), len(pairs) - 1)
    found, line = (_cut(visible(line), _SHORT) or "nothing" for line in pairs[number])
    return f"{file}:{number + 1}: found `{found}`; expected `{line}`, as the pack has it"


def other_base_model(text: str, source: Source) -> str | None:
    """What to say where the card names another base model than the one that was audited; None else."""
    audited, models = metadata(source).base_model, model_card.base_models(text)
    if audited is None or not models or audited in models:
        return None
    return f"names the base model {_cut(', '.join(models), _SHORT)}, and the pack is of {audited}; it was left as it is"


def block(source: Source) -> str:
    """The block in plain Markdown, at most ``LONGEST`` lines; the template escapes what comes from outside."""
    report = source.report
    released = report["released"]
    checkpoints = checkpoints_of(report)
    ordered = sorted(report["claims"], key=lambda claim: _WORST_FIRST.index(claim["verdict"]))
    waivers = sorted(report["waivers"], key=lambda waiver: waiver["state"] != "active")
    page = environment(autoescape=False).get_template("card.md.j2")
    text = page.render(
        mark=MARKS[report["outcome"]],
        sentence=[_cut(part, _LONG) for part in facts.sentence(report)],
        claims=[_claim_cells(claim) for claim in ordered[:_CLAIMS]],
        further=len(ordered[_CLAIMS:]),
        model=_model(report["model"]),
        checkpoints=[_checkpoint(report, released["base"], row) for row in checkpoints[:_CHECKPOINTS]]
        if released
        else [],
        further_checkpoints=len(checkpoints[_CHECKPOINTS:]),
        texts=_texts(report["contracts"]),
        metric=_cut(f"{report['regime']['metric']['name']}. {report['regime']['metric']['sentence']}", _LONG),
        judged=_cut(f"as of {source.day}, under {_policy(report)}", _LONG),
        removal=_removal(report["regime"]["removal"]),
        not_tested=_cut(" ".join(report["not_tested"]), _LONG),
        waivers=[_waiver(waiver) for waiver in waivers[:_WAIVERS]],
        further_waivers=len(waivers[_WAIVERS:]),
        pack=source.pack.digest,
        tool=report["tool"]["version"],
    )
    digests = {
        "audit": report["audit"]["digest"],
        "model": report["model"]["digest"] or "none",
        "pack": source.pack.digest,
    }
    # Ordinary spaces, which a terminal shows as they are: what is printed can be pasted, and its digest holds.
    return model_card.marked(text.replace("\u00a0", " ").strip("\n").split("\n"), digests)


def _claim_cells(claim: ClaimRow) -> tuple[str, ...]:
    """Claim, measured with its interval, what backs it, class of evidence, verdict."""
    return (
        _cut(f"{claim['id']}: {claim['decided']}", _SHORT),
        claims.measured(claim) or "–",
        _backing(claim),
        claim["evidence"],
        str(claims.verdict(claim)),
    )


def _backing(claim: ClaimRow) -> str:
    """The protocols that back a claim, and the one it names where that is not among them."""
    answers = {name: protocol["backs"] for name, protocol in claim["protocols"].items() if protocol["backs"] != "na"}
    backing = [name for name, answer in answers.items() if answer == "yes"]
    names = ", ".join(backing) or ("open" if "open" in answers.values() else "no protocol" if answers else "–")
    if not answers or claim["protocol"] in backing:
        return names
    return f"{names} (the claim names {claim['protocol'] or 'none'})"


def _model(model: ModelRow) -> str:
    return _cut(f"{model['source']}, {model['blocks']} blocks, {_weights(model)}", _LONG)


def _weights(row: ModelRow | CheckpointRow) -> str:
    """In what weights were measured, from what they come, and their digest."""
    digest = f"sha256 {row['digest']}" if row["digest"] else "weights not hashed"
    quantised = f", de-quantised from {row['quantization']}" if row["quantization"] else ""
    return f"{row['dtype']}{quantised}, {digest}"


def _checkpoint(report: Report, base: SideRow, row: CheckpointRow) -> tuple[str, str]:
    """A checkpoint's name, and its figures beside the model's."""
    own = row["own"]
    fewer = numbers.percent(100 * (own["parameters"] / base["parameters"] - 1))
    parts = [
        _done(row),
        f"{numbers.count(base['blocks'])} → {numbers.count(own['blocks'])} blocks",
        f"{numbers.count(base['parameters'])} → {numbers.count(own['parameters'])} parameters ({fewer})",
        *_quality(base, row),
        *_on_tasks(report, row["name"]),
        *_speed(row),
        _weights(row),
    ]
    return row["name"], _cut("; ".join(parts), _LONG)


def _done(row: CheckpointRow) -> str:
    """What was done to the model's blocks, by their weights; never a removal where that is open."""
    known = row["provenance"]
    done = known["done"] if known and known["done"] is not None else "which of the model's blocks it lacks is open"
    return f"{done}, and it is declared healed" if row["healed"] else done


def _quality(base: SideRow, row: CheckpointRow) -> Iterator[str]:
    """Perplexity before and after, or bits per byte where the tokens are others; the raw removal; KL from the model."""
    own, raw = row["own"], row["raw"]
    if row["unlike"]:
        yield f"perplexity not comparable: {row['unlike']}"
        yield _before_and_after(
            "bits per byte", base["bits_per_byte"], own["bits_per_byte"], row["bits_per_byte_increase"]
        )
    else:
        yield _before_and_after("perplexity", base["perplexity"], own["perplexity"], own["increase"])
    if raw is not None and raw["increase"] is not None:
        stated = "" if raw["found"] else " (as stated, not found in the weights)"
        blocks = numbered("block", raw["removed"])
        yield f"the model without {blocks}{stated}, and nothing else, {_percent(raw['increase'])}"
    if own["kl"] is not None:
        yield f"KL {numbers.distance(own['kl']['value'])} nats {numbers.interval(own['kl']['interval'])}"


def _on_tasks(report: Report, name: str) -> Iterator[str]:
    """Scores on tasks before and after, with the difference paired by document."""
    for task in report["tasks"]:
        for metric in task["metrics"]:
            sides = [side for side in metric["sides"] if side["checkpoint"] == name and side["kind"] == "checkpoint"]
            for side in sides:
                before, after = (tasks.score(metric, row).text for row in (metric["model"], side["score"]))
                paired = tasks.difference(metric, side["difference"])
                figures = f"{before} → {after}, {paired.text} {paired.aside}" if side["difference"] else after
                documents = tasks.asked(task) + (", imported scores" if task["evidence"] == "imported" else "")
                yield f"{metric['metric']} on {task['name']} ({documents}) {figures}".rstrip()


def _speed(row: CheckpointRow) -> Iterator[str]:
    """How many times as fast it is as the model, on the machine that timed the two."""
    speed = row["speed"]
    if speed is None:
        return
    known = (("prefill", speed["prefill"]), ("decoding", speed["decode"]))
    figures = [
        f"{name} {numbers.ratio(phase['value'])} times {numbers.interval(phase['interval'], numbers.ratio)}"
        for name, phase in known
        if phase is not None
    ]
    yield f"speed on {speed['machine']['processor']}: {', '.join(figures)}"


def _before_and_after(what: str, before: ValueRow | None, after: ValueRow | None, increase: ValueRow | None) -> str:
    if before is None or after is None:
        return f"{what} not measured"
    ends = numbers.interval(after["interval"], numbers.perplexity)
    figures = f"{what} {numbers.perplexity(before['value'])} → {numbers.perplexity(after['value'])} {ends}"
    return figures if increase is None else f"{figures}, {_percent(increase)}"


def _percent(row: ValueRow) -> str:
    return f"{numbers.percent(row['value'])} {numbers.percents(row['interval'])}"


def _policy(report: Report) -> str:
    """The policies that the verdict rests on; their marks tell a ready one from a file of its name."""
    built = built_on(report["policy"]["extends"])
    return f"a policy built on {built}" if built else "the audit's own policy"


def _texts(contracts: ContractsRow) -> str:
    scoring, evaluation = contracts["scoring"], contracts["evaluation"]
    windows = "" if evaluation["windows"] is None else f"{numbers.count(evaluation['windows'])} windows of "
    return _cut(
        f"distances on {scoring['prompts']} prompts of {scoring['tokens']} tokens of {scoring['text']}; perplexity on "
        f"{windows}{evaluation['window']} tokens, stride {evaluation['stride']}, of {evaluation['text']}",
        _LONG,
    )


def _removal(rows: Sequence[RemovalRow]) -> str:
    regimes = [f"{row['regime']} at {numbers.count(row['budget'])}" for row in rows[:_BUDGETS]]
    more = f" and {len(rows) - _BUDGETS} more budgets" if len(rows) > _BUDGETS else ""
    return (", ".join(regimes) or "no budget was measured under both protocols") + more


def _waiver(waiver: WaiverRow) -> tuple[str, str]:
    """How a waiver stands, and what it says."""
    about = f"{waiver['rule']}, claim {waiver['claim']}" if waiver["claim"] else f"{waiver['rule']}, whole audit"
    state = "Waived" if waiver["state"] == "active" else f"Waiver, {waiver['state']}"
    return state, _cut(f"{about}, until {waiver['expires']}: {waiver['reason']}", _SHORT)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1].rstrip() + "…"


def metadata(source: Source) -> Metadata:
    """What goes into the front matter: base model where it is one of the hub's, tag, and measured perplexities."""
    model, evaluation = source.report["model"], source.report["contracts"]["evaluation"]
    on_hub = model["kind"] == "hub" and _REPOSITORY.fullmatch(model["source"])
    one = _only_checkpoint(source.report)
    return Metadata(
        model=_plain(one["name"] if one else model["source"].rsplit("/", 1)[-1]),
        text=_plain(evaluation["text"]),
        text_kind=_text_kind(source.audit),
        results=tuple(_results(source)[:_RESULTS]),
        base_model=model["source"] if on_hub else None,
    )


def _text_kind(audit: Mapping[str, Any]) -> str:
    """A dataset's name on the hub, else `text`."""
    evaluation = audit.get("evaluation")
    text = evaluation.get("source") if isinstance(evaluation, Mapping) else None
    repository = text.get("repo") if isinstance(text, Mapping) and text.get("kind") == "hub" else None
    return repository if isinstance(repository, str) and _REPOSITORY.fullmatch(repository) else "text"


def _only_checkpoint(report: Report) -> CheckpointRow | None:
    """The one checkpoint that the audit is of; None where it is of none, or of several."""
    checkpoints = checkpoints_of(report)
    return checkpoints[0] if len(checkpoints) == 1 else None


def _results(source: Source) -> list[Result]:
    report = source.report
    baseline, one = report["baseline"], _only_checkpoint(report)
    if baseline is None:
        return []
    windows = {"windows": baseline["windows"], "tokens": baseline["tokens"]}
    results = [Result("perplexity", "Perplexity of the unpruned model", _digits(baseline["perplexity"]), windows)]
    if one is not None and one["own"]["perplexity"] is not None:
        perplexity = one["own"]["perplexity"]
        settings = {} if one["unlike"] else windows  # its own tokenizer cuts other ones
        results.insert(0, _result("perplexity", f"Perplexity of {_plain(one['name'])}", perplexity, settings))
    for claim in report["claims"]:
        if claim["kind"] != "removal" or claim["value"] is None or claim["unit"] != "percent":
            continue
        measure = _measure(source.audit, claim["id"])
        name = f"{measure.replace('_', ' ').capitalize()} increase in percent, claim {_plain(claim['id'])}"
        stated = {"claim": _plain(claim["decided"]), "verdict": claim["verdict"]}
        figure: ValueRow = {"value": claim["value"], "interval": claim["interval"]}
        results.append(_result(f"{measure}_increase", name, figure, stated))
    return results


def _result(metric: str, name: str, figure: ValueRow, settings: Mapping[str, Any]) -> Result:
    ends = {} if figure["interval"] is None else {"interval": [_digits(end) for end in figure["interval"]]}
    return Result(metric, name, _digits(figure["value"]), {**settings, **ends})


def _measure(audit: Mapping[str, Any], claim: str) -> str:
    """Whose increase a claim is about; one whose claims are not listed is of perplexity."""
    claims = audit.get("claims")
    for row in claims if isinstance(claims, list) else ():
        if isinstance(row, Mapping) and row.get("id") == claim and row.get("measure") in MEASURES:
            return str(row["measure"])
    return MEASURES[0]


def _plain(text: str) -> str:
    return _cut(visible(text), _SHORT)


def _digits(value: float) -> float:
    """Six significant digits: the card is read by people, the pack has them all."""
    return float(f"{value:.6g}")

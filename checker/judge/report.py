"""Stored evidence -> every figure of the report, in the form that report.json publishes, without torch.

Needs neither weights nor texts: what was read of them when measuring is in the store's records. Where a text is at hand
it is looked at again, so that evidence of an older text is not taken for evidence of this one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import compress
from typing import Any

from checker import __version__
from checker.core.canonical import digest, restored_row
from checker.core.facts import ScoringFacts
from checker.core.layouts import Layout, pairs_within
from checker.core.questions import Evidence
from checker.core.records import Audit, ScoringContract
from checker.core.statistics import perplexity
from checker.core.store import MEASURING_CODE
from checker.core.words import enumerated
from checker.judge.claims import decide
from checker.judge.claims.decision import Figures
from checker.judge.figures import agreement, costs, released, training
from checker.judge.figures import arms as arm_figures
from checker.judge.figures import blocks as block_figures
from checker.judge.figures import pairs as pair_figures
from checker.judge.figures import removals as removal_figures
from checker.judge.figures import series as series_figures
from checker.judge.figures.costs import Costs
from checker.judge.figures.distances import Distances, value_row
from checker.judge.figures.form import RegimeRow
from checker.judge.figures.pairs import noise_floor
from checker.judge.figures.released import Released
from checker.judge.figures.tasks import Tasks
from checker.judge.form import (
    BeginTokenRow,
    ContractsRow,
    CostRow,
    EnvironmentRow,
    EvidenceRow,
    FloorRow,
    Header,
    ModelRow,
    PromptsRow,
    ReportFigures,
    SpentRow,
    ThresholdsRow,
    row_of,
)
from checker.selection.arms import Arms, arms, scored_by
from checker.selection.cost import cost as cost_of
from checker.selection.plan import Asked, claimed_layouts, incomparable, plan, problem_of
from checker.spec.contracts import contract_digests


def report_figures(
    evidence: Evidence, environment: Mapping[str, Any] | None, origin: EvidenceRow
) -> tuple[ReportFigures, tuple[str, ...]]:
    """Everything the report says but its findings, and what is missing.

    ``environment`` is the run's own record, ``origin`` what ``origin_of`` says of the evidence's store.
    """
    audit, model = evidence.audit, evidence.facts.model
    problem = problem_of(audit, model)
    distance, cost = Distances(evidence, problem), Costs(evidence)
    asked = Asked(evidence.ask.answer)
    chosen = arms(audit, problem, replace(evidence.ask, answer=asked))
    reasons = {
        pair: reason for pair in pairs_within(model.blocks, audit.max_gap) if (reason := incomparable(model, *pair))
    }
    pairs = pair_figures.pairs(distance, reasons)
    arm_rows = arm_figures.arms(cost, distance, chosen.sets)
    # Verdicts and regimes rest on the first selection's matched arms; what obeys other constraints is never mixed in.
    primary = [arm_figures.primary(audit, arm) for arm in chosen.sets]
    sets, rows = list(compress(chosen.sets, primary)), list(compress(arm_rows, primary))
    prediction = block_figures.prediction(distance, cost.singles)
    regime: RegimeRow = {
        "metric": block_figures.metric(distance, removal_figures.overlap(sets, audit)),
        "removal": removal_figures.removal(cost, sets),
    }
    checkpoints = released.of_evidence(cost)
    tasks = Tasks(evidence, checkpoints, chosen.sets)
    over = series_figures.of_evidence(evidence)
    figures = Figures(distance, cost, sets, rows, regime, prediction, checkpoints, tasks, over)
    measured = [name for name in scored_by(audit) if name in distance.by_method]
    report: ReportFigures = {
        **_header(evidence),
        "environment": _environment(environment),
        "protocols": measured,
        "noise_floor": _floor(evidence),
        "pairs": pairs,
        "classes": pair_figures.classes(pairs),
        "kinds": pair_figures.kinds(distance),
        "blocks": block_figures.blocks(distance, cost.singles),
        "prediction": prediction,
        "regime": regime,
        "baseline": costs.baseline(cost),
        "arms": arm_rows,
        "ranges": arm_figures.ranges(arm_rows),
        "random": arm_figures.random_control(arm_rows),
        "scores": agreement.scores(distance),
        "agreement": agreement.ranks(distance),
        "differences": agreement.differences(cost, chosen.sets),
        "stability": agreement.stability(distance),
        "claims": decide(figures, audit.claims),
        "released": released.rows(cost, checkpoints),
        "tasks": tasks.rows(),
        "series": [training.row(each) for each in over.values()],
        "cost": _cost(evidence, asked, chosen, environment or {}),
        "not_tested": _not_tested(evidence, checkpoints),
        "evidence": origin,
    }
    of_tasks = (f"{gap}; {_FINISH}" for gap in tasks.gaps())
    of_series = (gap for each in over.values() for gap in training.gaps(each))
    of_checkpoints = _checkpoint_gaps(audit, checkpoints)
    gaps = (*_gaps(evidence, distance, cost, chosen), *of_checkpoints, *of_tasks, *of_series)
    return report, gaps


def _header(evidence: Evidence) -> Header:
    audit = evidence.audit
    return {
        "audit": {
            "name": audit.name,
            "file": audit.path.replace("\\", "/").rsplit("/", 1)[-1],
            "digest": digest([audit.text, audit.overrides]),
        },
        "overrides": [{"key": key, "value": value} for key, value in audit.overrides],
        "tool": {"name": "pruneaudit", "version": __version__, "measuring_code": MEASURING_CODE},
        "model": _model(evidence),
        "contracts": _contracts(evidence),
        "direction": audit.direction,
        "thresholds": row_of(
            ThresholdsRow,
            audit.statistics,
            selection=audit.selection.name,
            spacing=audit.selection.spacing,
            exclude=list(audit.selection.exclude),
            ties=audit.selection.ties,
        ),
        "begin_token": _begin_token(evidence),
    }


def _model(evidence: Evidence) -> ModelRow:
    model, dtype = evidence.facts.model, evidence.audit.model.dtype
    return row_of(ModelRow, model, dtype=dtype, block_parameters=list(model.block_parameters), notes=list(model.notes))


def _contracts(evidence: Evidence) -> ContractsRow:
    audit, facts = evidence.audit, evidence.facts
    evaluation, scored = audit.evaluation, facts.evaluation
    digests, dtype = contract_digests(audit, facts), audit.model.dtype
    return {
        "scoring": _prompts(audit.scoring, facts.scoring, digests.get("scoring"), dtype),
        "selection": audit.selecting and _prompts(audit.selecting, facts.selection, digests.get("selection"), dtype),
        "evaluation": {
            "digest": digests.get("evaluation"),
            "text": evaluation.source.name,
            "text_digest": scored and scored.text_digest,
            "words": evaluation.words,
            "window": evaluation.window,
            "stride": evaluation.stride,
            "boundary": evaluation.boundary,
            "special_tokens": evaluation.special_tokens,
            "batch_tokens": evaluation.batch_tokens,
            "dtype": dtype,
            "windows": scored and len(scored.scored),
            "tokens": scored and scored.tokens,
            "tokens_scored": scored and sum(scored.scored),
            "tokens_digest": scored and scored.tokens_digest,
        },
    }


def _prompts(
    contract: ScoringContract, read: ScoringFacts | None, contract_digest: str | None, dtype: str
) -> PromptsRow:
    """A contract of prompts: the scoring text, or the one that losses are taken on."""
    return {
        "digest": contract_digest,
        "text": contract.source.name,
        "text_digest": read and read.text_digest,
        "prompts": contract.prompts,
        "tokens": contract.tokens,
        "positions": contract.positions,
        "assembly": contract.assembly,
        "independent": contract.independent,
        "special_tokens": contract.special_tokens,
        "batch_tokens": contract.batch_tokens,
        "dtype": dtype,
        "tokens_digest": read and read.tokens_digest,
        "kinds": dict(Counter(kind for kind in read.kinds if kind)) if read else {},
    }


def _begin_token(evidence: Evidence) -> BeginTokenRow | None:
    """Perplexity of one window without and with the begin token."""
    values = evidence.answer("begin_token", "nll", Layout.base(evidence.facts.model.blocks))
    if values is None:
        return None
    without, with_token, tokens = values.tolist()
    return {
        "without": perplexity([without], [tokens]),
        "with": perplexity([with_token], [tokens]),
        "window_tokens": int(tokens) + 1,
    }


def _floor(evidence: Evidence) -> FloorRow | None:
    floor = noise_floor(evidence)
    return floor and {**value_row(floor), "dtype": evidence.audit.model.dtype}


def _cost(evidence: Evidence, asked: Asked, chosen: Arms, record: Mapping[str, Any]) -> CostRow:
    """What the audit takes in all, whether measured in one run or in several."""
    audit, facts = evidence.audit, evidence.facts
    planned = plan(audit, facts)
    evaluation = [question.layout for question in planned.evaluation]
    evaluation += [removal.layout for removal in chosen.sets]
    taken = planned.whole(cost_of(audit, facts, [planned.scoring, *asked.steps, planned.raw], evaluation))
    return row_of(CostRow, taken, **restored_row(SpentRow, record, "the record of the environment"))


def _environment(record: Mapping[str, Any] | None) -> EnvironmentRow | None:
    if record is None:
        return None
    return restored_row(EnvironmentRow, record, "the record of the environment")


_FINISH = "run the audit to its end"


def _gaps(evidence: Evidence, distance: Distances, cost: Costs, chosen: Arms) -> Iterable[str]:
    """What the audit asks for and is not measured."""
    audit, blocks = evidence.audit, cost.blocks
    selecting = {method.name for method in audit.methods}  # an arm without distances is a gap of its own
    for name in scored_by(audit):
        if name not in distance.by_method and name not in selecting:
            yield f"{name}: its distances are not all measured; {_FINISH}"
    yield from chosen.gaps
    if cost.base is None:
        yield f"the baseline's perplexity is not measured; {_FINISH}"
    removals = dict.fromkeys(removal.layout for removal in chosen.sets)
    compared = dict.fromkeys(removal.layout for removal in chosen.sets if not removal.draw)
    asked: dict[str, list[object]] = {
        "removal sets": [cost.nll(layout) for layout in removals],
        "KL and top-1 agreement of arms": [cost.per_token(name, at) for at in compared for name in ("kl", "top1")],
        "removals that claims or checkpoints name": [
            cost.nll(layout) for layout in claimed_layouts(audit, evidence.facts)
        ],
        "single deletions": [cost.singles.get(block) for block in range(blocks)],
    }
    for what, answers in asked.items():
        missing = sum(answer is None for answer in answers)
        if missing:
            yield f"{what}: {missing} of {len(answers)} are not measured; {_FINISH}"
    if evidence.facts.evaluation and evidence.facts.evaluation.begin_token and _begin_token(evidence) is None:
        yield f"the loss without and with the begin token is not measured; {_FINISH}"
    if audit.model.dtype != "float32" and noise_floor(evidence) is None:
        yield f"the numerical floor of {audit.model.dtype} is not measured; {_FINISH}"


def _checkpoint_gaps(audit: Audit, checkpoints: Mapping[str, Released]) -> Iterable[str]:
    """What is not measured of the checkpoints."""
    for checkpoint in audit.checkpoints:
        known = checkpoints.get(checkpoint.name)
        if known is None or known.own.base is None:
            yield f"the checkpoint {checkpoint.name} is not measured; {_FINISH}"
        elif known.distance is None and not known.fact.no_distance(known.evidence.facts.model):
            yield f"how far the checkpoint {checkpoint.name} is from the model is not measured; {_FINISH}"
        elif checkpoint.deletions and len(known.own.singles) < known.own.blocks:
            missing = known.own.blocks - len(known.own.singles)
            yield f"{missing} of {known.own.blocks} single deletions of {checkpoint.name} are not measured; {_FINISH}"


def _not_tested(evidence: Evidence, checkpoints: Mapping[str, Released]) -> list[str]:
    """What no reader should take this audit to have shown."""
    audit = evidence.audit
    reach = "adjacent blocks only" if audit.max_gap == 1 else f"pairs of blocks at most {audit.max_gap} apart"
    beyond = ", beyond what the checkpoints show of it" if audit.checkpoints else ""
    sentences = [
        f"Pairs farther apart: distances are of {reach}.",
        f"Any text but the two named under contracts, and any {_tasks(audit)}.",
        *_of_the_pruned_model(checkpoints, beyond),
        "Removal of any blocks but single ones and the sets that are listed as arms or named by a claim.",
        "Longer contexts than the windows of the evaluation contract.",
    ]
    if audit.selection.exclude:
        sentences.append(f"Removal of the excluded blocks {', '.join(map(str, audit.selection.exclude))}.")
    if evidence.facts.model.quantization:
        sentences.append("The weights before quantisation: everything here is about the quantised file.")
    if not any(method.name == "random" for method in audit.methods):
        sentences.append("Whether any method does better than chance: the audit has no random control.")
    return sentences


def _of_the_pruned_model(checkpoints: Mapping[str, Released], beyond: str) -> list[str]:
    timed = [name for name, known in checkpoints.items() if known.timings]
    if not timed:
        return [f"Recovery by fine-tuning after removal{beyond}, and speed or memory of the pruned model."]
    return [
        f"Recovery by fine-tuning after removal{beyond}, and memory of the pruned model.",
        f"Speed of anything but {enumerated(timed)}, and on any other machine or number of tokens than was timed.",
    ]


def _tasks(audit: Audit) -> str:
    if not audit.tasks:
        return "task: cost is perplexity, not accuracy on tasks"
    return f"task but {enumerated(task.name for task in audit.tasks)}: what removing blocks costs is perplexity"

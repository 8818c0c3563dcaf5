"""The report as sections of tables, figures and sentences: decided once, shown by every format."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import arms_figure, claims, costs, distances, escape, facts, figures, heatmap, numbers
from .tables import Cell, Record
from .words import GLOSSARY, MARKS, OUTCOMES, SECTIONS, Section


def view(report: Mapping[str, Any]) -> dict[str, Any]:
    """All that a template needs; every string in it is one line in which no control character acts."""
    safe: Record = escape.clean(report)
    matrix = heatmap.matrix(safe)
    return {
        "report": safe,
        "outcome": Cell(OUTCOMES[safe["outcome"]], "", safe["outcome"]),
        "about": _about(safe),
        "sections": sections(safe),
        "claims": claims.claims(safe),
        "overrides": claims.overrides(safe) if safe["overrides"] else None,
        "regime": {"metric": distances.metric(safe), "removal": costs.removal(safe)},
        "arms": _arms(safe),
        "distances": {
            "figure": figures.profile(safe),
            "table": distances.profile(safe),
            "classes": distances.classes(safe),
            "remarks": distances.remarks(safe),
        },
        "matrix": matrix,
        "kinds": {"figure": figures.kinds(safe), "table": distances.kinds(safe), "worst": distances.worst_kinds(safe)},
        "deletions": {
            "figure": figures.deletions(safe),
            "table": costs.single_deletions(safe),
            "prediction": costs.prediction(safe),
        },
        "findings": {name: claims.findings(safe, name) for name in ("fail", "open", "pass", "not_applicable")},
        "contracts": [
            facts.scoring(safe),
            facts.evaluation(safe),
            facts.thresholds(safe),
            facts.model(safe),
            facts.audit(safe),
        ],
        "cost": facts.cost(safe),
        "environment": facts.environment(safe),
        "glossary": GLOSSARY,
        "marks": MARKS,
    }


def sections(report: Record) -> list[Section]:
    """The sections of this report, in order; the matrix only where more than neighbours were measured."""
    beyond = any(pair["gap"] > 1 for pair in report["pairs"])
    return [section for section in SECTIONS if section.name != "matrix" or beyond]


def _arms(report: Record) -> dict[str, Any]:
    return {
        "figure": arms_figure.arms(report),
        "overview": costs.overview(report),
        "every": costs.every_arm(report),
        "control": costs.control(report),
        "draws": costs.draws(report),
    }


def _about(report: Record) -> list[tuple[str, str]]:
    """The few facts that stand beside the verdict."""
    model, environment = report["model"], report["environment"]
    size = f"{numbers.count(model['blocks'])} blocks, {numbers.count(model['parameters'])} parameters, {model['dtype']}"
    about = [("Model", model["source"]), ("Size", size)]
    if report["baseline"] is not None:
        baseline = report["baseline"]
        interval = numbers.interval(baseline["interval"], numbers.perplexity)
        about.append(("Baseline perplexity", f"{numbers.perplexity(baseline['perplexity'])} {interval}"))
    finished = None if environment is None else environment["finished"]
    about.append(("Measured", finished or "no time recorded"))
    return [*about, ("Audit", report["audit"]["name"])]

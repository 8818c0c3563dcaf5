"""The report as sections of tables, figures and sentences: decided once, shown by every format."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from checker.core import escape
from checker.judge.form import Report
from checker.reports.charts import agreement as agreement_figure
from checker.reports.charts import arms as arms_figure
from checker.reports.charts import distances as distance_figures
from checker.reports.charts import heatmap, removed
from checker.reports.charts import training as training_figures
from checker.reports.tables import (
    agreement,
    arms,
    claims,
    costs,
    distances,
    facts,
    numbers,
    released,
    stability,
    tasks,
    training,
)
from checker.reports.tables.comparison import Comparison, comparisons
from checker.reports.tables.table import Cell
from checker.reports.tables.words import GLOSSARY, OUTCOMES, SECTIONS, Section, Word


def view(report: Report) -> dict[str, Any]:
    """All that a template needs; every string in it is one line in which no control character acts."""
    safe: Report = escape.clean(report)
    first, native, further = comparisons(safe)
    blocks = safe["model"]["blocks"]
    values = {
        "report": safe,
        "eyebrow": "pruneaudit report",
        "closing": "The same figures, unrounded, stand in report.json.",
        "outcome": Cell(OUTCOMES[safe["outcome"]], "", safe["outcome"]),
        "sentence": facts.sentence(safe),
        "about": _about(safe),
        "claims": claims.claims(safe),
        "overrides": claims.overrides(safe) if safe["overrides"] else None,
        "regime": {"metric": distances.metric(safe), "removal": costs.removal(safe)},
        "arms": _arms(safe, first),
        "native": _arms(safe, native) if native else None,
        "further": [_arms(safe, comparison) for comparison in further],
        "across": arms.across([first, *further]) if further else None,
        "cheapest": arms.cheapest([first, *further]) if further else None,
        "removed": removed.removed(first, blocks),
        "removed_native": removed.removed(native, blocks) if native else None,
        "released": released.checkpoints(safe),
        "tasks": tasks.tasks(safe),
        "training": [_training(number, shown) for number, shown in enumerate(training.series(safe))],
        "distances": _distances(safe),
        "matrix": heatmap.matrix(safe),
        "kinds": {
            "figure": distance_figures.kinds(safe),
            "table": distances.kinds(safe),
            "worst": distances.worst_kinds(safe),
        },
        "deletions": {
            "figure": distance_figures.deletions(safe),
            "table": costs.single_deletions(safe),
            "prediction": costs.prediction(safe),
        },
        "agreement": _agreement(safe),
        "stability": _stability(safe),
        "findings": {name: claims.findings(safe, name) for name in ("fail", "open", "pass")},
        "not_applicable": claims.together(claims.findings(safe, "not_applicable")),
        "waivers": claims.waivers(safe) if safe["waivers"] else None,
        "contracts": [
            facts.scoring(safe),
            *facts.selection(safe),
            facts.evaluation(safe),
            facts.thresholds(safe),
            facts.model(safe),
            facts.audit(safe),
        ],
        "cost": facts.cost(safe),
        "environment": facts.environment(safe),
    }
    sections = _sections(safe, values)
    names = {section.name for section in sections} | ({"native"} if native else set())
    return values | {"sections": sections, "glossary": _glossary(safe, names)}


def _sections(report: Report, values: Mapping[str, Any]) -> list[Section]:
    """The sections of this report, in order; some only where there is something to show."""
    filled = {
        "released": values["released"],
        "tasks": values["tasks"],
        "training": values["training"],
        "matrix": any(pair["gap"] > 1 for pair in report["pairs"]),
        "removed": values["removed"] or values["removed_native"],
        "agreement": values["agreement"],
        "stability": values["stability"],
    }
    return [section for section in SECTIONS if filled.get(section.name, True)]


def _glossary(report: Report, sections: set[str]) -> list[Word]:
    """The words that these sections use."""
    regret = any(arm["regret"] is not None for arm in report["arms"])
    return [word for word in GLOSSARY if word.section in sections and (regret or word.word != "Regret")]


def _arms(report: Report, comparison: Comparison) -> dict[str, Any]:
    return {
        "title": comparison.title,
        "figure": arms_figure.arms(comparison),
        "overview": arms.overview(comparison),
        "every": arms.every_arm(comparison),
        "control": arms.control(comparison),
        "draws": arms.draws(comparison),
        "differences": arms.differences(comparison, report["thresholds"]["confidence"]),
    }


def _distances(report: Report) -> dict[str, Any]:
    return {
        "figure": distance_figures.profile(report),
        "table": distances.profile(report),
        "classes": distances.classes(report),
        "remarks": distances.remarks(report),
    }


def _training(number: int, shown: training.Shown) -> dict[str, Any]:
    figures = [training_figures.scores(number, shown.row, method, found) for method, found in shown.scores]
    return {
        "shown": shown,
        "figure": training_figures.distances(number, shown.row, shown.tables[0]),
        "scores": [figure for figure in figures if figure is not None],
    }


def _agreement(report: Report) -> dict[str, Any] | None:
    figure = agreement_figure.agreement(report)
    if figure is None:
        return None
    return {
        "figure": figure,
        "matrix": agreement.matrix(report),
        "sources": agreement.sources(report),
        "scores": agreement.scores(report),
    }


def _stability(report: Report) -> dict[str, Any] | None:
    if not report["stability"]:
        return None
    return {
        "sentence": stability.sentence(report),
        "correlations": stability.correlations(report),
        "settling": stability.settling(report),
        "overlaps": stability.overlaps(report),
    }


def _about(report: Report) -> list[tuple[str, str]]:
    """The few facts that stand beside the verdict."""
    model, environment = report["model"], report["environment"]
    size = f"{numbers.count(model['blocks'])} blocks, {numbers.count(model['parameters'])} parameters, {model['dtype']}"
    about = [("Model", model["source"]), ("Size", size)]
    if report["baseline"] is not None:
        about.append(("Baseline perplexity", facts.perplexity(report["baseline"])))
    about.append(("Measured", (environment and environment["finished"]) or "no time recorded"))
    about += [("Audit", report["audit"]["name"]), ("Policy", facts.policy(report))]
    if report["waivers"]:
        about.append(("Waivers", claims.waiver_counts(report)))
    return about

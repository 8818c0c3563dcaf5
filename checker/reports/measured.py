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
from checker.reports.tables import agreement, arms, claims, costs, distances, facts, numbers, stability
from checker.reports.tables.comparison import Comparison, comparisons
from checker.reports.tables.table import Cell, Table
from checker.reports.tables.words import GLOSSARY, MARKS, OUTCOMES, SECTIONS, Section, Word


def view(report: Report) -> dict[str, Any]:
    """All that a template needs; every string in it is one line in which no control character acts."""
    safe: Report = escape.clean(report)
    first, native, further = comparisons(safe)
    blocks = safe["model"]["blocks"]
    found = {
        "report": safe,
        "eyebrow": "pruneaudit report",
        "closing": "The same figures, unrounded, stand in report.json.",
        "outcome": Cell(OUTCOMES[safe["outcome"]], "", safe["outcome"]),
        "about": _about(safe),
        "claims": claims.claims(safe),
        "overrides": claims.overrides(safe) if safe["overrides"] else None,
        "regime": {"metric": distances.metric(safe), "removal": costs.removal(safe)},
        "arms": _arms(safe, first),
        "native": _arms(safe, native) if native else None,
        "further": [_arms(safe, one) for one in further],
        "across": arms.across([first, *further]) if further else None,
        "cheapest": arms.cheapest([first, *further]) if further else None,
        "removed": removed.removed(first, blocks),
        "removed_native": removed.removed(native, blocks) if native else None,
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
        "contracts": _contracts(safe),
        "cost": facts.cost(safe),
        "environment": facts.environment(safe),
        "marks": MARKS,
    }
    shown = sections(safe, found)
    return found | {"sections": shown, "glossary": _glossary(safe, found, {section.name for section in shown})}


def sections(report: Report, found: Mapping[str, Any]) -> list[Section]:
    """The sections of this report, in order; some only where there is something to show."""
    shown = {
        "matrix": any(pair["gap"] > 1 for pair in report["pairs"]),
        "removed": found["removed"] or found["removed_native"],
        "agreement": found["agreement"],
        "stability": found["stability"],
    }
    return [section for section in SECTIONS if shown.get(section.name, True)]


def _glossary(report: Report, found: Mapping[str, Any], names: set[str]) -> list[Word]:
    """The words that this report uses."""
    targets = names | ({"native"} if found["native"] else set())
    regret = any(arm["regret"] is not None for arm in report["arms"])
    return [word for word in GLOSSARY if word.section in targets and (regret or word.word != "Regret")]


def _arms(report: Report, found: Comparison) -> dict[str, Any]:
    return {
        "title": found.title,
        "figure": arms_figure.arms(found),
        "overview": arms.overview(found),
        "every": arms.every_arm(found),
        "control": arms.control(found),
        "draws": arms.draws(found),
        "differences": arms.differences(found, report["thresholds"]["confidence"]),
    }


def _distances(report: Report) -> dict[str, Any]:
    return {
        "figure": distance_figures.profile(report),
        "table": distances.profile(report),
        "classes": distances.classes(report),
        "remarks": distances.remarks(report),
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


def _contracts(report: Report) -> list[Table]:
    selection = facts.selection(report)
    return [
        facts.scoring(report),
        *([selection] if selection else []),
        facts.evaluation(report),
        facts.thresholds(report),
        facts.model(report),
        facts.audit(report),
    ]


def _about(report: Report) -> list[tuple[str, str]]:
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
    about += [("Audit", report["audit"]["name"]), ("Policy", facts.policy(report))]
    return [*about, *([("Waivers", claims.waiver_counts(report))] if report["waivers"] else [])]

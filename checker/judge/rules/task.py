"""Rules about tasks: which metric, which documents, which harness, and how far guessing goes."""

from __future__ import annotations

import re
from collections.abc import Iterator

from checker.core.facts import TaskFacts
from checker.core.rule import Result, failed, passed, rule, undecided
from checker.core.words import enumerated
from checker.judge.case import Case, each_claim
from checker.judge.figures.form import TaskMetricRow
from checker.spec.claims.task import TaskScore
from checker.spec.tasks import MODEL

_NONE = "no claim is about a task"
_ACCURACIES = ("acc", "acc_norm")  # names that are taken for each other, whatever a task has


def _read(case: Case, claim: TaskScore) -> list[TaskFacts]:
    return [fact for name in claim.tasks if (fact := case.facts.task(name)) is not None]


def _unread(case: Case, claim: TaskScore) -> list[str]:
    return [name for name in claim.tasks if case.facts.task(name) is None]


def _not_read(names: list[str]) -> Result:
    return undecided(f"found no facts about {enumerated(names)}; expected the task to be read; run the audit")


def _metrics(case: Case, claim: TaskScore) -> Iterator[tuple[str, TaskMetricRow]]:
    """The claimed metric of each task that has it, by the task's name."""
    for task in case.figures["tasks"]:
        if task["name"] in claim.tasks:
            yield from ((task["name"], row) for row in task["metrics"] if row["metric"] == claim.metric)


@rule(
    "task",
    level="warning",
    why="Two metrics of one task differ by several points, and acc_norm is mostly the higher one. A score by one of "
    "them held against a score by the other shows a difference that no model has.",
    remedy="Claim one metric of a task, name it in the claim's words, and give all scores of the task by it.",
    waive="When the published text gives both metrics, each beside the same metric of the unpruned model.",
    nothing=_NONE,
)
@each_claim(TaskScore)
def metric_mixed(case: Case, claim: TaskScore) -> Result:
    """A claim's metric is not the one that its words name, that the audit keeps, or that an earlier claim uses."""
    for task in case.audit.tasks:
        if task.name in claim.tasks and task.metrics and claim.metric not in task.metrics:
            expected = f"one that the audit keeps: {enumerated(task.metrics, 'or')}"
            return failed(f"found {claim.metric} of {task.name}; expected {expected}; claim that one")
    known = {*_ACCURACIES, *(metric for fact in _read(case, claim) for metric in fact.metrics)}
    for word in re.findall(r"\w+", claim.says):
        if word in known - {claim.metric}:
            return failed(f"found {word} in the claim's words; expected {claim.metric}, which is what is decided")
    for other in case.audit.claims_of(TaskScore):
        if other.id == claim.id:
            break
        shared = [task for task in claim.tasks if task in other.tasks]
        if shared and other.metric != claim.metric and _subject(other) == _subject(claim):
            found = f"{claim.metric} of {enumerated(shared)}, and {other.metric} of it in the claim {other.id}"
            return failed(f"found {found}; expected one metric of what is the same task and model")
    return passed(f"{claim.metric} is the one metric that is said of {enumerated(claim.tasks)}")


def _subject(claim: TaskScore) -> tuple[object, ...]:
    layers = None if claim.layers is None else tuple(sorted(claim.layers))
    return claim.of, layers, claim.method, claim.budget


@rule(
    "task",
    level="warning",
    why="Between versions of lm-evaluation-harness, prompts, metrics and documents of one task change, and scores with "
    "them. A mean over tasks, or a table of them, is of one harness or of nothing.",
    remedy="Measure all tasks anew with one version of the harness.",
    waive="When the published text names the version of each task.",
    nothing="no task was read",
)
def harness_differs(case: Case) -> Result | None:
    """The audit's tasks were scored with different versions of the harness."""
    versions: dict[str, list[str]] = {}
    for fact in case.facts.tasks:
        for results in fact.imported:
            whose = f"{fact.name} of {'the model' if results.subject == MODEL else results.subject}"
            versions.setdefault(results.harness or "a version that results do not state", []).append(whose)
        if not fact.imported:
            versions.setdefault(fact.harness, []).append(fact.name)
    if not versions:
        return None
    if len(versions) > 1:
        found = enumerated(f"{enumerated(names)} with {version}" for version, names in versions.items())
        return failed(f"found {found}; expected one version of lm-evaluation-harness; measure all with one")
    return passed(f"lm-evaluation-harness {next(iter(versions))} wrote and scored all that was asked")


@rule(
    "task",
    level="warning",
    why="The first documents of a task are a sample of it, and often of one kind: tasks are stored by subject or by "
    "source. What is true of them is true of the task only as far as an interval reaches.",
    remedy="Take `limit` away, or claim it of a population (`scope: population`).",
    waive="When the published text says how many documents were asked, and which.",
    nothing=_NONE,
)
@each_claim(TaskScore)
def subset(case: Case, claim: TaskScore) -> Result:
    """A claim about these very documents speaks of a task of which only the first ones were asked."""
    limited = [fact for fact in _read(case, claim) if len(fact.documents) < fact.whole]
    if limited:
        found = enumerated(f"the first {len(fact.documents)} of {fact.whole} of {fact.name}" for fact in limited)
        if claim.scope == "contract":
            return failed(f"found {found}; expected all documents that the claim is about; take `limit` away")
        return passed(f"on {found} it is decided on an interval, as a sample of documents like these")
    if unread := _unread(case, claim):
        return _not_read(unread)
    return passed(f"all documents of {enumerated(claim.tasks)} were asked")


@rule(
    "task",
    level="warning",
    why="Choosing among given answers asks for less than writing one: pruned models keep their scores by multiple "
    "choice and lose arithmetic, code and long answers. What is retained there is not retained in general.",
    remedy="Add a task whose answers are generated, or say in the claim that it is about multiple choice.",
    waive="When the published text itself speaks of multiple choice alone.",
    nothing=_NONE,
)
def likelihood_only(case: Case) -> Result | None:
    """All tasks that claims speak of are decided by the likelihood of given answers, and none has a written one."""
    claims = list(case.audit.claims_of(TaskScore))
    if not claims:
        return None
    facts = {fact.name: fact for claim in claims for fact in _read(case, claim)}
    written = [name for name, fact in facts.items() if fact.generates]
    if written:
        return passed(f"{enumerated(written)} has answers that the model writes")
    if unread := [name for claim in claims for name in _unread(case, claim)]:
        return _not_read(list(dict.fromkeys(unread)))
    found = f"{enumerated(facts)}, decided by the likelihood of given answers"
    return failed(f"found {found}; expected a task with written answers beside them; add one")


@rule(
    "task",
    level="warning",
    why="A model that scores what guessing scores has nothing that pruning could take: its pruned copy keeps all "
    "of it, and so would a coin.",
    remedy="Choose a task that the model can do, or ask more documents of it.",
    waive="When the published text says that the unpruned model is at chance.",
    nothing="no claim is about what a task of known chance loses or retains",
)
@each_claim(TaskScore)
def at_chance(case: Case, claim: TaskScore) -> Result | None:
    """The model's own score is not told from guessing."""
    if claim.at_least is not None:
        return None
    if unread := _unread(case, claim):
        return _not_read(unread)
    rows = [(name, row) for name, row in _metrics(case, claim) if row["chance"] is not None or row["model"] is None]
    for name, row in rows:
        if row["model"] is None:
            return undecided(f"what the model scores on {name} is not measured; run the audit to its end")
        if row["at_chance"]:
            found = f"{_score(row)} {row['metric']} of the model on {name}"
            return failed(f"found {found}; expected more than guessing, {100.0 * (row['chance'] or 0.0):.4g} %")
    if not rows:
        return None
    return passed(f"the model's own score on {enumerated(name for name, _ in rows)} is told from guessing")


def _score(row: TaskMetricRow) -> str:
    known = row["model"]
    if known is None:
        return "no score"
    ends = "" if known["interval"] is None else " [{:.4g}, {:.4g}]".format(*(100.0 * end for end in known["interval"]))
    return f"{100.0 * known['value']:.4g} %{ends}"


@rule(
    "task",
    level="warning",
    why="Of four choices, a model that knows nothing scores 25 %. Counted as retained, this part flatters: at 60 % "
    "before and 45 % after, 75 % of the score is kept, and 57 % of what lies above guessing.",
    remedy="Claim what is retained above chance (`above_chance: true`), or give both figures.",
    waive="When the published text gives the figure above chance beside it.",
    nothing="no claim is about what is retained of a task",
)
@each_claim(TaskScore)
def retention_without_chance(case: Case, claim: TaskScore) -> Result | None:
    """What is retained is counted with what guessing scores."""
    if claim.retains_at_least is None:
        return None
    if claim.above_chance:
        return passed("it counts what is retained above chance")
    if unread := _unread(case, claim):
        return _not_read(unread)
    for name, row in _metrics(case, claim):
        if row["model"] is None:
            return undecided(f"what the model scores on {name} is not measured; run the audit to its end")
        if row["chance"]:
            found = f"guessing counted in, which scores {100.0 * row['chance']:.4g} % on {name}"
            return failed(f"found {found}; expected what is retained above it; set `above_chance: true`")
    return passed(f"guessing is not known to score on {enumerated(claim.tasks)}")

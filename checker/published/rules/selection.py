"""Rules about published removal sets: whether the printed scores give them by the rule that the source states."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from checker.core.rule import Result
from checker.core.words import counted
from checker.published.publication import Publication, Removal, SourceRule
from checker.published.rules.rows import blocks
from checker.published.rules.subject import Subject, published
from checker.published.selection_search import Choice, Search, in_words

_SHOWN = 4  # sets that a message names


@published(
    level="error",
    why="A selection rule makes scores into one set of layers, and a reader who follows it must arrive at the set that "
    "was evaluated. Symmetric scores tie the two layers of every pair, so a rule that leaves ties unsaid allows "
    "several sets; a printed set that is none of them was chosen in another way than the source describes.",
    remedy="Ask the source for the tie rule, the pairs and the scores that chose this set, or for the rule as it was "
    "run.",
    waive="When the source says that this set was chosen by another rule than the one entered here.",
    nothing="no removal with layers is said to be chosen by a rule that the audit file holds",
)
def selection_does_not_follow(publication: Publication) -> Iterator[Result]:
    """A printed set of layers is not what the stated selection rule gives on the published scores."""
    return (_follows(*chosen) for chosen in _chosen(publication))


def _chosen(publication: Publication) -> list[tuple[Search, Removal, SourceRule]]:
    """The removals whose layers a one-shot rule is said to have chosen, with that rule and a search of their model."""
    pairs = [
        (removal, rule)
        for removal in publication.removals
        if removal.layers is not None and removal.search != "iterative"
        for rule in publication.rules
        if rule.speaks_of(removal)
    ]
    searches = {model: Search(publication, model) for model in {removal.model for removal, _ in pairs}}
    return [(searches[removal.model], removal, rule) for removal, rule in pairs]


def _subject(removal: Removal) -> Subject:
    return Subject(removal.id, removal.where, f"{removal.method} removes {blocks(removal.layers)}")


def _follows(search: Search, removal: Removal, rule: SourceRule) -> Result:
    layers, printed = removal.layers or (), blocks(removal.layers)
    choices = search.stated(rule, removal.protocol) if removal.protocol else []
    if not choices:
        return _without_scores(removal, rule)
    by = f"the rule of {rule.where} on the {removal.protocol} scores"
    ways = counted(len(choices), "way")
    if giving := [choice for choice in choices if search.gives(choice, rule, layers)]:
        unsaid = f", in {len(giving)} of {ways} of making the choices that it leaves unsaid"
        how = unsaid if len(giving) < len(choices) else ", whatever it leaves unsaid"
        return _subject(removal).passed(f"{by} gives {printed}{how}", "; ".join(in_words(giving)))
    given = _given(search, choices, rule, len(layers))
    over = f" over {ways} of making the choices that it leaves unsaid" if len(choices) > 1 else ""
    ranks = _ranks(search, choices[-1], layers)
    return _subject(removal).failed(
        f"found {printed}; expected {given}, which {by} gives{over}; the printed layers stand at {ranks}",
        recomputed=f"{given}; ranks: {ranks}",
        question=f"which scores, tie rule and constraints chose {printed}? {by[0].upper()}{by[1:]} gives {given}.",
        does_not_show="It does not show that the perplexity of the set is wrong, nor that a set which follows from the "
        "rule would cost more or less.",
    )


def _without_scores(removal: Removal, rule: SourceRule) -> Result:
    missing = "the protocol that chose this set"
    if removal.protocol:
        missing = f"pair scores of {removal.model} under {removal.protocol}"
        if rule.max_gap and rule.max_gap > 1:
            missing += f" for pairs up to {rule.max_gap} blocks apart"
        if removal.protocol == "replacement" and rule.symmetrisation:
            missing += f", in the form that the rule names ({rule.symmetrisation})"
    return _subject(removal).undecided(
        f"{blocks(removal.layers)} cannot be held against the rule of {rule.where} without {missing}",
        f"can {missing} be published?",
    )


def _given(search: Search, choices: Iterable[Choice], rule: SourceRule, budget: int) -> str:
    """The sets that the rule gives, each once, the first few by name."""
    sets: dict[tuple[int, ...], None] = {}
    unnamed = False
    for choice in choices:
        selected = search.sets(choice, rule, budget)
        sets |= dict.fromkeys(selected.sets)
        unnamed |= selected.total > len(selected.sets)
    if not sets:
        return "no set, as the order leaves too few layers,"
    named = " or ".join(blocks(layers) for layers in list(sets)[:_SHOWN])
    further = len(sets) - _SHOWN
    least = "at least " if unnamed else ""
    return f"{named} or one of {least}{further} more" if further > 0 else named


def _ranks(search: Search, choice: Choice, layers: Iterable[int]) -> str:
    """Where layers stand in ascending order of score, under one choice."""
    ranking = search.ranking(choice)
    ranks = ", ".join(f"{layer}: {_rank(ranking.ranks(layer))}" for layer in layers)
    of = choice.protocol if choice.protocol != "replacement" else f"{choice.protocol}, {choice.symmetrisation}"
    number = sum(len(group) for group in ranking.groups)
    return f"{ranks} of {number} ({of}, largest gap {choice.max_gap})"


def _rank(ranks: tuple[int, int] | None) -> str:
    """The first and the last rank that a block may have, in words."""
    if ranks is None:
        return "without a score"
    first, last = ranks
    return f"{first}" if first == last else f"{first} {'or' if last == first + 1 else 'to'} {last}"


@published(
    level="warning",
    why="Where a source leaves choices unsaid, trying every one shows how a printed set can have come about: by the "
    "scores of another protocol, by another symmetrisation, by other pairs, by another spacing or tie rule, or by none "
    "of these. A set that the scores of another protocol give is evidence about that protocol.",
    remedy="Hold the combinations listed against the source's code, and ask which of them was run.",
    waive="When the source names the combination that it used, and the audit file states it as the rule.",
    nothing="no removal with layers is said to be chosen by a rule that the audit file holds",
)
def selection_by_other_choices(publication: Publication) -> Iterator[Result]:
    """A printed set of layers follows from other choices than the stated ones, or from none that can be tried."""
    return (_searched(*chosen) for chosen in _chosen(publication))


def _searched(search: Search, removal: Removal, rule: SourceRule) -> Result:
    subject, printed = _subject(removal), blocks(removal.layers)
    choices = search.every(rule)
    if not choices:
        return subject.undecided(
            f"{printed} cannot be searched for without pair scores of {removal.model}",
            f"can the pair scores of {removal.model} be published?",
        )
    giving = [choice for choice in choices if search.gives(choice, rule, removal.layers or ())]
    share = f"{len(giving)} of {len(choices)} combinations tried"
    listing = "; ".join(in_words(giving))
    stated = set(search.stated(rule, removal.protocol)) if removal.protocol else set()
    if stated & set(giving):
        return subject.passed(
            f"{printed} follows from the stated choices; {share} give it", f"{share} give it: {listing}"
        )
    instead = (
        f"none of the {len(choices)} combinations of protocol, symmetrisation, largest gap, spacing and tie rule "
        "tried does"
    )
    if giving:
        instead = f"only others do, {share}: {listing}"
    return subject.failed(
        f"found {printed}; expected the stated choices to give it, and {instead}",
        recomputed=f"{share} give it",
        question=f"by which scores and which choices was {printed} chosen"
        + (", and is it one of these combinations?" if giving else "?"),
        does_not_show="It does not show which choices were made: other scores, prompts or pairs than the published "
        "ones were not tried, and among so many combinations one may give a set by chance.",
    )

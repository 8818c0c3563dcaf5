"""Rules about published removal sets: whether the printed scores give them by the rule that the source states."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from checker.core.rule import Placed, Result, failed, not_applicable, passed, undecided
from checker.published.publication import Publication, Removal, SourceRule
from checker.published.rules.rows import published
from checker.published.selection_search import Choice, Search, listed

_SHOWN = 4  # sets that a message names


@published(
    level="error",
    why="A selection rule makes scores into one set of layers, and a reader who follows it must arrive at the set that "
    "was evaluated. Symmetric scores tie the two layers of every pair, so a rule that leaves ties unsaid allows "
    "several sets; a printed set that is none of them was chosen in another way than the source describes.",
    remedy="Ask the source for the tie rule, the pairs and the scores that chose this set, or for the rule as it was "
    "run.",
    waive="When the source says that this set was chosen by another rule than the one entered here.",
)
def selection_does_not_follow(publication: Publication) -> Iterator[Result]:
    """A printed set of layers is not what the stated selection rule gives on the published scores."""
    chosen = list(_chosen(publication))
    searches = _searches(publication, chosen)
    for removal, rule in chosen:
        yield _follows(searches[removal.model], removal, rule)
    if not chosen:
        yield not_applicable("no removal with layers is said to be chosen by a rule that the audit file holds")


def _searches(publication: Publication, chosen: Iterable[tuple[Removal, SourceRule]]) -> dict[str, Search]:
    """One search per model, for its tables are made once."""
    return {model: Search(publication, model) for model in dict.fromkeys(removal.model for removal, _ in chosen)}


def _chosen(publication: Publication) -> Iterator[tuple[Removal, SourceRule]]:
    """The removals whose layers a one-shot rule is said to have chosen, with that rule."""
    for removal in publication.removals:
        if removal.layers is not None and removal.search != "iterative":
            yield from ((removal, rule) for rule in publication.rules if rule.speaks_of(removal))


def _follows(search: Search, removal: Removal, rule: SourceRule) -> Result:
    layers = removal.layers or ()
    choices = search.stated(rule, removal.protocol) if removal.protocol else []
    if not choices:
        return _without_scores(removal, rule)
    by = f"the rule of {rule.where} on the {removal.protocol} scores"
    giving = [choice for choice in choices if search.gives(choice, rule, layers)]
    if giving:
        unsaid = len(choices) - len(giving)
        ways = f"{len(giving)} of {_ways(choices)} of making the choices that it leaves unsaid"
        return passed(
            f"{by} gives {_set(layers)}" + (f", in {ways}" if unsaid else ", whatever it leaves unsaid"),
            removal.id,
            where=removal.where,
            statement=_row(removal),
            recomputed="; ".join(listed(giving)),
        )
    given = _given(search, choices, rule, len(layers))
    ranks = _ranks(search, choices[-1], layers)
    return failed(
        f"found {_set(layers)}; expected {given}, which {by} gives{_over(choices)}; the printed layers stand at "
        f"{ranks}",
        removal.id,
        where=removal.where,
        statement=_row(removal),
        recomputed=f"{given}; ranks: {ranks}",
        question=f"{removal.where}: which scores, tie rule and constraints chose {_set(layers)}? {_capital(by)} gives "
        f"{given}.",
        does_not_show="It does not show that the perplexity of the set is wrong, nor that a set which follows from the "
        "rule would cost more or less.",
    )


def _without_scores(removal: Removal, rule: SourceRule) -> Result:
    missing = f"pair scores of {removal.model} under {removal.protocol}" if removal.protocol else (
        "the protocol that chose this set")  # fmt: skip
    if removal.protocol and rule.max_gap and rule.max_gap > 1:
        missing += f" for pairs up to {rule.max_gap} blocks apart"
    if removal.protocol == "replacement" and rule.symmetrisation:
        missing += f", in the form that the rule names ({rule.symmetrisation})"
    return undecided(
        f"{_set(removal.layers or ())} cannot be held against the rule of {rule.where} without {missing}",
        removal.id,
        where=removal.where,
        statement=_row(removal),
        question=f"{removal.where}: can {missing} be published?",
    )


def _given(search: Search, choices: Iterable[Choice], rule: SourceRule, budget: int) -> str:
    """The sets that the rule gives, each once, the first few by name."""
    found: dict[tuple[int, ...], None] = {}
    unnamed = False
    for choice in choices:
        selected = search.sets(choice, rule, budget)
        found |= dict.fromkeys(selected.sets)
        unnamed |= selected.total > len(selected.sets)
    if not found:
        return "no set, as the order leaves too few layers,"
    named = " or ".join(_set(layers) for layers in list(found)[:_SHOWN])
    further = len(found) - _SHOWN
    least = "at least " if unnamed else ""
    return f"{named} or one of {least}{further} more" if further > 0 else named


def _ranks(search: Search, choice: Choice, layers: Iterable[int]) -> str:
    """Where layers stand in ascending order of score, under one choice."""
    ranking = search.ranking(choice)
    told = []
    for layer in layers:
        ranks = ranking.ranks(layer)
        if ranks is None:
            told.append(f"{layer}: without a score")
        else:
            told.append(f"{layer}: {ranks[0]}" if ranks[0] == ranks[1] else f"{layer}: {ranks[0]} or {ranks[1]}"
                        if ranks[1] == ranks[0] + 1 else f"{layer}: {ranks[0]} to {ranks[1]}")  # fmt: skip
    of = choice.protocol if choice.protocol != "replacement" else f"{choice.protocol}, {choice.symmetrisation}"
    number = sum(len(group) for group in ranking.groups)
    return f"{', '.join(told)} of {number} ({of}, largest gap {choice.max_gap})"


@published(
    level="warning",
    why="Where a source leaves choices unsaid, trying every one shows how a printed set can have come about: by the "
    "scores of another protocol, by another symmetrisation, by other pairs, by another spacing or tie rule, or by none "
    "of these. A set that the scores of another protocol give is evidence about that protocol.",
    remedy="Hold the combinations listed against the source's code, and ask which of them was run.",
    waive="When the source names the combination that it used, and the audit file states it as the rule.",
)
def selection_by_other_choices(publication: Publication) -> Iterator[Result]:
    """A printed set of layers follows from other choices than the stated ones, or from none that can be tried."""
    chosen = list(_chosen(publication))
    searches = _searches(publication, chosen)
    for removal, rule in chosen:
        yield _searched(searches[removal.model], removal, rule)
    if not chosen:
        yield not_applicable("no removal with layers is said to be chosen by a rule that the audit file holds")


def _searched(search: Search, removal: Removal, rule: SourceRule) -> Result:
    layers = removal.layers or ()
    choices = search.every(rule)
    if not choices:
        return undecided(f"{_set(layers)} cannot be searched for without pair scores of {removal.model}", removal.id,
                         where=removal.where, statement=_row(removal),
                         question=f"{removal.where}: can the pair scores of {removal.model} be published?")  # fmt: skip
    told: Placed = {"where": removal.where, "statement": _row(removal)}
    giving = [choice for choice in choices if search.gives(choice, rule, layers)]
    counted = f"{len(giving)} of {len(choices)} combinations tried"
    listing = "; ".join(listed(giving))
    stated = set(search.stated(rule, removal.protocol)) if removal.protocol else set()
    if stated & set(giving):
        return passed(f"{_set(layers)} follows from the stated choices; {counted} give it", removal.id, **told,
                      recomputed=f"{counted} give it: {listing}")  # fmt: skip
    found = f"found {_set(layers)}; expected the stated choices to give it, and "
    return failed(
        found + (f"only others do, {counted}: {listing}" if giving else f"none of the {len(choices)} combinations of "
                 "protocol, symmetrisation, largest gap, spacing and tie rule tried does"),
        removal.id,
        **told,
        recomputed=f"{counted} give it",
        question=f"{removal.where}: by which scores and which choices was {_set(layers)} chosen"
        + (", and is it one of these combinations?" if giving else "?"),
        does_not_show="It does not show which choices were made: other scores, prompts or pairs than the published "
        "ones were not tried, and among so many combinations one may give a set by chance.",
    )  # fmt: skip


def _over(choices: list[Choice]) -> str:
    return f" over {len(choices)} ways of making the choices that it leaves unsaid" if len(choices) > 1 else ""


def _ways(choices: list[Choice]) -> str:
    return f"{len(choices)} way{'' if len(choices) == 1 else 's'}"


def _set(layers: Iterable[int]) -> str:
    return f"{{{', '.join(map(str, layers))}}}"


def _row(removal: Removal) -> str:
    return f"{removal.method} removes {_set(removal.layers or ())}"


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]

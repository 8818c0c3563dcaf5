"""A claim of the audit file -> ``Claim``, with a sentence for one that has no words of its own."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import PurePath
from typing import Any

from checker.core.records import FROM_CHECKPOINT, Claim
from checker.spec.document import Document, Where


def claim(document: Document, index: int) -> Claim:
    """The claim number ``index`` of a document in which nothing is wrong."""
    where = ("claims", index)
    found = dict(document.get(*where))
    if found["kind"] == "removal":
        found = {"about": "perplexity", **_cost(document, (*where, "perplexity_increase")), **found}
        del found["perplexity_increase"]
    if found["kind"] == "comparison":
        found.setdefault("at_least", 1.0)
    for key in ("below", "at_least"):
        if key in found:
            found[key] = float(found[key])
    if found.get("layers") == FROM_CHECKPOINT:
        found["from_checkpoint"] = True
        del found["layers"]
    elif "layers" in found:
        found["layers"] = tuple(found["layers"])
    if "checkpoint" in found:
        found["checkpoint"] = str(document.resolve((*where, "checkpoint"), found["checkpoint"]))
    if "pair" in found:
        found["pair"] = (min(found["pair"]), max(found["pair"]))
    # An interval speaks of texts like this one, a value alone of this one.
    found.setdefault("scope", "contract" if "equals" in found and "interval" not in found else "population")
    found.setdefault("says", _sentence(found))
    return Claim(**found, location=document.place(where))


def _cost(document: Document, where: Where) -> dict[str, Any]:
    """A claimed increase of perplexity, with what is left out filled in."""
    section = document.get(*where)
    found: dict[str, Any] = {key: float(section[key]) for key in ("at_most", "equals", "within") if key in section}
    if "equals" in found:
        found.setdefault("within", _precision(document, (*where, "equals")))
    if "interval" in section:
        found["interval"] = tuple(float(end) for end in section["interval"])
        found["interval_unit"] = section.get("interval_unit", "percent")
    return found


def _precision(document: Document, where: Where) -> float:
    """Half a unit of the last digit that a number was written with: 0.05 for 10.2, 0.005 for 10.20."""
    written = Decimal(document.written.get(where, repr(document.get(*where))).replace("_", ""))
    return float(Decimal(5).scaleb(int(written.as_tuple().exponent) - 1))


def _sentence(claim: Mapping[str, Any]) -> str:
    """What a claim says, for one that has no words of its own."""
    kind = claim["kind"]
    if kind == "removal":
        return _removal(claim)
    if kind == "redundant":
        return f"{_pairs(claim)} are redundant: their distance is below {claim['below']:g} nats."
    if kind == "comparison":
        times = f"at least {claim['at_least']:g} times as much as" if claim["at_least"] > 1 else "more than"
        return f"At budget {claim['budget']}, {claim['worse']} costs {times} {claim['better']}."
    if kind == "regime":
        metric = f"The distances are in the regime `{claim.get('metric')}`."
        return f"Removals of {claim['budget']} blocks are `{claim['removal']}`." if "removal" in claim else metric
    return f"What holds for this checkpoint holds for {claim['to']}."


def _removal(claim: Mapping[str, Any]) -> str:
    if "layers" in claim:
        several = "s" if len(claim["layers"]) > 1 else ""
        blocks = f"block{several} {', '.join(map(str, claim['layers']))}"
    elif "from_checkpoint" in claim:
        blocks = f"the blocks that {PurePath(claim['checkpoint']).name} lacks"
    else:
        blocks = f"the {claim['budget']} blocks that {claim['method']} chooses"
    told = f"Removing {blocks} raises perplexity by {_increase(claim)}"
    return told + (", so tasks are still done as well." if claim["about"] == "tasks" else ".")


def _increase(claim: Mapping[str, Any]) -> str:
    if "at_most" in claim:
        return f"at most {claim['at_most']:g} %"
    if "interval" not in claim:
        return f"{claim['equals']:g} % (within {claim['within']:g})"
    low, high = claim["interval"]
    ends = f"{low:g} to {high:g} %" if claim["interval_unit"] == "percent" else f"a perplexity of {low:g} to {high:g}"
    return f"{claim['equals']:g} % ({ends})"


def _pairs(claim: Mapping[str, Any]) -> str:
    if "pair" in claim:
        return "Blocks {} and {}".format(*claim["pair"])
    return "Any two neighbouring blocks" if claim["pairs"] == "adjacent" else "Any two blocks"

"""Kinds of claims: what is registered, what decides a claim, and what travels of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from folders import TESTS

from checker.core.canonical import digest
from checker.core.records import Claim
from checker.judge import claims as judged
from checker.release.replay import portable, resolved
from checker.spec import claims, load
from checker.spec.claims import numbers
from checker.spec.claims.removal import Removal
from checker.spec.claims.transfer import Transfer
from checker.spec.schema import audit_schema

MINIMAL = (TESTS / "spec" / "accept" / "minimal.yaml").read_text(encoding="utf-8")
CUT = "{id: cut, kind: removal, layers: from-checkpoint, checkpoint: ./pruned, perplexity_increase: {at_most: 30}}"
REMOVAL = "{id: a, kind: removal, layers: [4, 6], perplexity_increase: {at_most: 20}, protocol: interchange}"
CHOSEN = "{id: a, kind: removal, method: interchange, budget: 2, perplexity_increase: {equals: 8, within: 3}}"
PUBLISHED = (
    "{id: a, kind: removal, layers: [5], "
    "perplexity_increase: {equals: 2, interval: [27, 32], interval_unit: perplexity}}"
)


def claim(text: str) -> Claim:
    declared = "checkpoints: {pruned: {kind: directory, path: pruned}}\n" if "of: pruned" in text else ""
    if "series: steps" in text:
        declared = 'checkpoints: {steps: {kind: directory, path: "run-{step}", steps: [0, 100]}}\n'
    declared += "tasks: {run: [hellaswag, piqa]}\n" if "kind: task" in text else ""
    (made,) = load.check_text(
        f"{MINIMAL}\n{declared}claims: [{text}]\n", "a.yaml", Path("/here"), attached=False
    ).audit.claims
    return made


def test_every_kind_of_the_schema_is_read_and_decided() -> None:
    kinds = [
        branch["properties"]["kind"]["const"] for branch in audit_schema()["properties"]["claims"]["items"]["oneOf"]
    ]
    assert kinds == list(claims.KINDS)
    assert [kind.record for kind in claims.KINDS.values()] == list(judged.KINDS)


@pytest.mark.parametrize(
    ("text", "key"),
    [(REMOVAL, "9da77b2a9f3e8c0644dc1cc59a5404fd5956fef5aba16f9ece673ddbd12dd65a"),
     (CHOSEN.replace("}}", "}, scope: population}"),
      "870558171b59e04fa7b8ef3026942b7be5e92c06153febbf05c9a1c2a63cc588"),
     (PUBLISHED, "52d55b02a8c8b2301786047237e06c8499aa0356210e0d714d61b297a0c67a40"),
     (CUT, "5a2c8f6e0d11c7783e18a3ce548281e59c77777e211609550954873741ee7d23"),
     ("{id: a, kind: redundant, pair: [5, 4], below: 0.1, protocol: interchange}",
      "8ba1c2b149fb9b1bb0bc0669a3248c1269aece29fc95735b0c50a31a3315670b"),
     ("{id: a, kind: redundant, pairs: all, below: 3, scope: contract}",
      "df2e6470b5af0c94d5a36b1e05330a44f2abbb8de8f0b0ebca351ce72159586c"),
     ("{id: a, kind: comparison, better: interchange, worse: replacement, budget: 2}",
      "ca89498f6b996639afd0d2f82eda743c4394f8639124ccb6400d3f87f429c983"),
     ("{id: a, kind: regime, removal: interchange-safer, budget: 2}",
      "a5dce08557736f2136a9e0953b68eedd27473ae9dfc6acabce6219c177e73cf4"),
     ("{id: a, kind: trend, series: steps, quantity: gap, from: 0, to: 100, direction: grows}",
      "d8f7621d9e61a8ba04a890dfc8b6eaf59a28e40196c39bd6fa3df7e93cdd9bba"),
     ("{id: a, kind: transfer, series: steps, from: 0, to: 100, method: interchange, budget: 1, regret_at_most: 5}",
      "aaea544138d17ada6904782c39db960a8f6a7e44d2fd32faa4877dc3f108a9c8"),
     ("{id: a, kind: stable, series: steps, of: scores, protocol: replacement, from: 0, to: 100, at_least: 0.8}",
      "06964ff6f3a103c2713439d0885e77bf636c8118af1f3ed7d2f12caff1b005a8")],
)  # fmt: skip
def test_stored_runs_know_a_claim_again(text: str, key: str) -> None:
    """These digests are keys of runs in the stores of users: a claim with another one would be another claim."""
    made = claim(text)
    assert digest(made.stated()) == key
    assert digest(replace(made, id="b", says="Otherwise.", location=replace(made.location, line=99)).stated()) == key


ON = "on a population of texts like this one"
OF_DOCUMENTS = "on a population of documents like these"


@pytest.mark.parametrize(
    ("text", "decided"),
    [
        (REMOVAL, f"removing blocks 4 and 6 costs at most 20 % perplexity, {ON}; rests on interchange"),
        (CHOSEN, "removing the 2 blocks that interchange chooses costs 8 % perplexity within 3 %, on this very text; "
         "names no protocol"),
        (PUBLISHED, "removing block 5 costs 2 % perplexity, and all of its interval gives a perplexity from 27 to 32, "
         f"{ON}; names no protocol"),
        (CUT, f"the checkpoint pruned costs at most 30 % perplexity, {ON}; names no protocol"),
        (REMOVAL.replace("kind", "about: tasks, kind"), "removing blocks 4 and 6 leaves tasks as they are and "
         f"costs at most 20 % perplexity, {ON}; rests on interchange"),
        ("{id: a, kind: redundant, pair: [5, 4], below: 0.1, protocol: interchange}",
         f"the distance of blocks 4 and 5 is below 0.1 nats under interchange, {ON}; rests on interchange"),
        ("{id: a, kind: redundant, pairs: all, below: 3, scope: contract}",
         "the distance of any two blocks is below 3 nats under replacement and under interchange, on this very text; "
         "names no protocol"),
        ("{id: a, kind: comparison, better: interchange, worse: replacement, budget: 2}",
         f"removing 2 blocks by replacement costs more than by interchange, {ON}; names no protocol"),
        ("{id: a, kind: comparison, better: sleb, worse: cka, budget: 1, at_least: 2}",
         f"removing 1 block by cka costs at least 2 times as much as by sleb, {ON}; names no protocol"),
        ("{id: a, kind: regime, removal: interchange-safer, budget: 2}",
         "removals of 2 blocks are in the regime `interchange-safer`"),
        ("{id: a, kind: regime, metric: low}", "the distances of neighbouring blocks are in the regime `low`"),
        ("{id: a, kind: parameters, of: pruned, fewer: {equals: 1.09e+9}}",
         "the checkpoint pruned has 1,090,000,000 parameters fewer than the model, within 5,000,000"),
        ("{id: a, kind: parameters, of: pruned, fewer_percent: {equals: 10.9, within: 0.1}}",
         "the checkpoint pruned has 10.9 % fewer parameters than the model, within 0.1 %"),
        ("{id: a, kind: size, of: pruned, total: {at_least: 100, at_most: 7000000000}}",
         "the checkpoint pruned has at least 100 and at most 7,000,000,000 bytes of weights on disk"),
        ("{id: a, kind: blocks, of: pruned, removed: 4}", "the checkpoint pruned has 4 blocks less than the model"),
        ("{id: a, kind: task, of: pruned, task: piqa, metric: acc, at_least: 41.5}",
         f"the checkpoint pruned scores at least 41.5 % acc on piqa, {OF_DOCUMENTS}; names no protocol"),
        ("{id: a, kind: task, layers: [6, 4], tasks: [piqa, hellaswag], metric: acc, drop_at_most: 2, scope: contract}",
         "the model without blocks 4 and 6 scores at most 2 percentage points less acc on the mean of piqa and "
         "hellaswag than the model, on these very documents; names no protocol"),
        ("{id: a, kind: task, method: interchange, budget: 1, task: piqa, metric: acc, retains_at_least: 95, "
         "above_chance: true, protocol: interchange}",
         "the model without the 1 block that interchange chooses retains at least 95 % of the model's acc on piqa, "
         f"above chance, {OF_DOCUMENTS}; rests on interchange"),
        ("{id: a, kind: task, of: pruned, task: piqa, metric: acc, retains_at_least: 95, above_chance: false}",
         "the checkpoint pruned retains at least 95 % of the model's acc on piqa, with chance counted in, "
         f"{OF_DOCUMENTS}; names no protocol"),
        ("{id: a, kind: trend, series: steps, quantity: gap, from: 0, to: 100, direction: grows, at_least: 0.1, "
         "monotone: true}",
         "the gap between replacement and interchange grows by at least 0.1 nats from step 0 to step 100 of steps, and "
         "between every two neighbouring steps"),
        ("{id: a, kind: trend, series: steps, quantity: kl_ratio, from: 100, to: 0, direction: falls}",
         "the ratio of interchange to replacement falls from step 100 to step 0 of steps"),
        ("{id: a, kind: transfer, series: steps, from: 0, to: 100, method: interchange, budget: 1, regret_at_most: 5}",
         "removing the 1 block that interchange chooses at step 0 costs at most 5 % more perplexity than removing "
         "those that it chooses there, at step 100 of steps"),
        ("{id: a, kind: stable, series: steps, of: scores, protocol: replacement, from: 0, to: 100, at_least: 0.8}",
         "the block scores of replacement have a rank correlation of at least 0.8 from step 0 to step 100 of steps"),
        ("{id: a, kind: stable, series: steps, of: sets, protocol: replacement, from: 0, to: 100, at_least: 0.5, "
         "budget: 2}",
         "the sets of 2 blocks that replacement chooses have a Jaccard index of at least 0.5 from step 0 to step 100 "
         "of steps"),
    ],
)  # fmt: skip
def test_what_is_decided_is_said_in_words_made_of_the_keys(text: str, decided: str) -> None:
    """Whatever the claim says itself; and without words of its own it says just that."""
    made = claim(text)
    assert claims.decided(made) == decided
    assert made.says == f"{decided[0].upper()}{decided[1:]}."
    assert claims.decided(replace(made, says="At most 1 %.")) == decided


def test_the_blocks_of_a_checkpoint_are_named_once_they_are_known() -> None:
    made = claim(CUT)
    assert isinstance(made, Removal)
    assert claims.decided(replace(made, layers=(4, 6))).startswith(
        "the checkpoint pruned, which lacks blocks 4 and 6, costs at most 30 % perplexity, "
    )


@pytest.mark.parametrize(
    ("says", "found"),
    [
        ("Three layers can go for at most 20 % perplexity.", [("blocks", 3.0), ("percent", 20.0)]),
        ("Twenty-one consecutive decoder layers", [("blocks", 21.0)]),
        ("3 of the 30 layers; 3 to 5 per cent, 1,000 %, 0,5 % and 1e12 %",
         [("blocks", 3.0), *(("percent", value) for value in (3.0, 5.0, 1000.0, 0.5, 1e12))]),
        ("-2.5 % and \u22121 percent", [("percent", -2.5), ("percent", -1.0)]),
        ("twice, 2.5x, 3-fold, 4 times, 5×", [("times", value) for value in (2.0, 2.5, 3.0, 4.0, 5.0)]),
        ("below 0.10 nats", [("nats", 0.1)]),
        ("SmolLM2-135M: layers 14 and 15, Table 3, 2605.16234, a 30-layer model, at budget 5, the two tests", []),
    ],
)  # fmt: skip
def test_the_numbers_that_words_state(says: str, found: list[tuple[str, float]]) -> None:
    assert [(each.unit, each.value) for each in numbers.stated(says)] == found


@pytest.mark.parametrize(
    ("says", "key", "agrees"),
    [
        ("+4 %", 4.0, True), ("+4 %", -4.0, False), ("4 %", -4.0, True), ("-4 %", -4.0, True), ("4 %", 4.3, False),
        ("4.10 %", 4.1, True), ("20.1235 %", 20.123456, True), ("0 %", 0.0, True), ("0 %", 1e-9, False),
    ],
)  # fmt: skip
def test_numbers_are_compared_as_numbers(says: str, key: float, agrees: bool) -> None:
    (found,) = numbers.stated(says)
    assert found.agrees(key) is agrees


def test_a_claim_told_from_a_checkpoint_is_the_same_whatever_its_folder_and_layers() -> None:
    made = claim(CUT)
    assert isinstance(made, Removal)
    assert (made.checkpoint, made.from_checkpoint) == ("pruned", True)
    assert replace(made, layers=(4, 6)).stated() == made.stated()
    assert replace(made, checkpoint="other").stated() != made.stated()


def test_nought_is_stated() -> None:
    """A bound of 0 is no missing bound."""
    made = claim(REMOVAL)
    assert isinstance(made, Removal)
    assert replace(made, at_most=0.0).stated()["at_most"] == 0.0


def test_a_pack_holds_a_claim_with_its_kind_and_its_own_fields() -> None:
    audit = load.check_text(f"{MINIMAL}\nclaims: [{CUT}]\n", "a.yaml", Path("/here"), attached=False).audit
    transfer = Transfer("t", "It holds.", audit.claims[0].location, "steps", 0, 100, "interchange", 1, 5.0)
    row, other = json.loads(json.dumps(resolved(portable(replace(audit, claims=(*audit.claims, transfer))))))["claims"]
    assert (row["kind"], row["checkpoint"], row["location"]["file"]) == ("removal", "pruned", "a.yaml")
    assert other.keys() == {
        "id", "says", "kind", "location", "protocol", "scope", "series", "start", "end", "method", "budget",
        "regret_at_most",
    }  # fmt: skip

"""Checkpoints that claims name: read once when the audit runs, and judged afterwards without any weights."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import tiny_audit
import torch
from evidence_sample import checkpoint_facts, fill, with_checkpoint

from checker.audit import audit
from checker.core import history
from checker.core.errors import EvidenceDamaged
from checker.core.layouts import Layout
from checker.core.store import Store
from checker.judge import origin
from checker.judge.measured import judge
from checker.measure.cut_checkpoint import cut, save
from checker.measure.prepare import prepare
from checker.release.seal import judged_by, seal
from checker.release.verify import verify
from checker.spec import claimed_checkpoints, load

COST = "scope: contract, perplexity_increase: {at_most: 1000000}, protocol: replacement"
CLAIMS = f"""
  - {{id: derived, kind: removal, layers: from-checkpoint, checkpoint: released/pruned, {COST}}}
  - {{id: stated, kind: removal, layers: [1, 3], checkpoint: released/pruned, {COST}}}
  - {{id: wrong, kind: removal, layers: [1, 4], checkpoint: released/pruned, {COST}}}
  - {{id: trained, kind: removal, layers: from-checkpoint, checkpoint: trained/pruned, {COST}}}
  - {{id: merged, kind: removal, layers: from-checkpoint, checkpoint: merged/pruned, {COST}}}"""
SMALL = {"methods": "[interchange, replacement]", "budgets": "[1]", "claims": CLAIMS}


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    with tiny_audit.one_thread():
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The audit file with three checkpoints beside it, all in folders of the same name."""
    folder = tmp_path_factory.mktemp("audit")
    tiny_audit.write(folder, **SMALL)
    for name, layout in {"released": "(0,2,4,5)", "merged": "(0,mix(1:.5,2:.5)@1,4,5)"}.items():
        save(tiny_audit.build(), tiny_audit.tokenizer(False), Layout.parse(layout), folder / name / "pruned")
    model = tiny_audit.build()
    cut(model, Layout.parse("(0,2,4,5)"))
    model.model.layers[1].mlp.up_proj.weight.add_(0.01 * torch.ones(64, 32))
    model.save_pretrained(folder / "trained" / "pruned")
    (folder / "trained" / "pruned" / "README.md").write_text("It was fine-tuned afterwards. It has 5 layers.\n")
    return folder


@pytest.fixture(scope="module")
def report(folder: Path) -> dict[str, Any]:
    return dict(audit(folder / "audit.yaml", out=folder / "out").report)


def claim(report: dict[str, Any], name: str) -> dict[str, Any]:
    return next(dict(row) for row in report["claims"] if row["id"] == name)


def findings(report: dict[str, Any], rule: str) -> dict[str | None, tuple[str, str]]:
    return {row["claim"]: (row["outcome"], row["message"]) for row in report["findings"] if row["rule"] == rule}


def test_the_blocks_that_a_checkpoint_lacks_are_measured(report: dict[str, Any]) -> None:
    derived, stated = claim(report, "derived"), claim(report, "stated")
    assert derived["verdict"] == "supported"
    assert derived["value"] == stated["value"]
    assert derived["message"] == stated["message"]
    assert derived["says"] == (
        "Removing the blocks that pruned lacks costs at most 1e+06 % perplexity, on this very text; "
        "rests on replacement."
    )
    assert claim(report, "trained")["value"] == stated["value"]


def test_a_merged_checkpoint_leaves_the_claim_open(report: dict[str, Any]) -> None:
    found = claim(report, "merged")
    assert found["verdict"] == "open"
    assert found["message"].startswith(
        "pruned is more than a removal of blocks: block 3 removed, 1 merged; claimed of this very text"
    )


def test_the_rules_hold_claims_against_their_checkpoints(report: dict[str, Any]) -> None:
    layers = findings(report, "provenance/layers-differ")
    assert layers == {
        "stated": ("pass", "pruned is the model without blocks 1, 3, as the claim says"),
        "wrong": (
            "fail",
            "pruned: found the model without blocks 1, 3; expected the model without blocks 1, 4, as the claim says; "
            "correct `layers`, or export the checkpoint again",
        ),
    }
    trained = findings(report, "provenance/retrained")
    assert {name: outcome for name, (outcome, _) in trained.items()} == {
        **dict.fromkeys(["derived", "stated", "wrong", "merged"], "pass"),
        "trained": "fail",
    }
    assert trained["trained"][1].startswith("pruned: found 1 of 4 blocks with other weights, relative change up to ")
    counts = findings(report, "provenance/block-count")
    assert set(counts.values()) == {("pass", "config.json of pruned fits its 4 blocks")}


def test_judging_needs_no_weights(folder: Path, report: dict[str, Any], tmp_path: Path) -> None:
    shutil.copytree(folder / "out", tmp_path / "out")
    shutil.copy(folder / "audit.yaml", tmp_path)
    loaded = load.check(tmp_path / "audit.yaml", attached=False).audit
    with Store(tmp_path / "out" / "evidence.db", create=False) as store:
        again = judge(loaded, store)
    assert json.loads(json.dumps(again["claims"])) == json.loads(json.dumps(report["claims"]))
    rules = [row for row in again["findings"] if row["rule"].startswith("provenance/")]
    assert rules == [row for row in report["findings"] if row["rule"].startswith("provenance/")]


def test_a_claim_that_was_added_after_the_run_is_open(folder: Path, report: dict[str, Any]) -> None:
    added = [f"claims=[{{id: later, kind: removal, layers: from-checkpoint, checkpoint: released/pruned, {COST}}}]"]
    loaded = load.check(folder / "audit.yaml", added, attached=False).audit
    with Store(folder / "out" / "evidence.db", create=False) as store:
        later = judge(loaded, store)
    assert claim(later, "later")["verdict"] == "open"
    assert claim(later, "later")["message"].startswith(
        "the checkpoint that the claim names was not read; run the audit; claimed of this very text"
    )
    assert findings(later, "provenance/retrained")["later"][0] == "open"


def test_a_pack_holds_what_its_claims_rest_on(folder: Path, report: dict[str, Any], tmp_path: Path) -> None:
    sealed = seal(folder / "out", tmp_path / "pack", judged_by(str(folder / "audit.yaml")), date(2030, 1, 1))
    kept = json.loads((sealed.folder / "records.json").read_text())
    names = [record["content"]["name"] for record in kept if record["name"] == "checkpoint"]
    assert names == ["pruned"] * 5
    assert str(folder) not in (sealed.folder / "audit.json").read_text()
    found = verify(sealed)
    assert found.differences == ()
    assert claim(dict(found.report), "derived")["value"] == claim(report, "derived")["value"]


def test_a_checkpoint_is_read_before_anything_is_measured(folder: Path) -> None:
    prepared = prepare(load.check(folder / "audit.yaml").audit)
    derived = next(each for each in prepared.audit.claims if each.id == "derived")
    assert derived.layers == (1, 3)
    assert [fact.claim for fact in prepared.facts.checkpoints] == ["derived", "stated", "wrong", "trained", "merged"]
    trained = prepared.facts.checkpoints[3]
    assert (trained.blocks, trained.retrained) == (4, (1,))


# --- facts of strangers ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("changes", [{"removed": (4, 8)}, {"removed": tuple(range(8))}, {"claim": "another"}])
def test_facts_that_cannot_be_of_the_model_are_damage(changes: dict[str, Any], tmp_path: Path) -> None:
    sample = with_checkpoint()
    (named,) = claimed_checkpoints.naming_one(sample.audit)
    with Store(tmp_path / "evidence.db") as store:
        fill(store, sample)
        key = claimed_checkpoints.key(sample.model.digest, named)
        store.write_record(claimed_checkpoints.RECORD, key, asdict(replace(checkpoint_facts(), **changes)))
        with pytest.raises(EvidenceDamaged, match="checkpoint: found facts of the claim "):
            judge(sample.audit, store)


def test_which_of_two_equal_blocks_is_gone_is_not_guessed() -> None:
    sample = with_checkpoint()
    (named,) = claimed_checkpoints.naming_one(sample.audit)
    unknown = replace(named, layers=None, from_checkpoint=True)
    asked = replace(sample.audit, claims=tuple(unknown if each == named else each for each in sample.audit.claims))
    told = {
        ((4, 5),): None,  # 4 is gone and 5 is not, or the other way round
        ((4, 6),): (4, 6),  # both are gone
        ((0, 1),): (4, 6),  # both are there
        (): (4, 6),
    }
    found = {
        twins: claimed_checkpoints.with_layers(asked, [checkpoint_facts(twins=twins)]).claims[0].layers
        for twins in told
    }
    assert found == told


def test_a_run_is_remembered_wherever_the_checkpoint_lay(tmp_path: Path) -> None:
    sample = with_checkpoint()
    shorter = replace(sample, prompts=8)
    (named,) = claimed_checkpoints.naming_one(sample.audit)
    elsewhere = replace(named, checkpoint="/here/pruned")
    moved = tuple(elsewhere if each == named else each for each in sample.audit.claims)
    with Store(tmp_path / "evidence.db") as store:
        history.write_run(store, sample.audit, shorter.facts, {each.id: "supported" for each in sample.audit.claims})
        seen = origin.origin_of(store, replace(sample.audit, claims=moved), sample.facts)
    assert [set(run["verdicts"].values()) for run in seen["other_runs"]] == [{"supported"}]

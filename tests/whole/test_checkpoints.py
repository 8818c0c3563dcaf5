"""Checkpoints of an audit: measured as they are, one after the other, and judged afterwards without any weights."""

from __future__ import annotations

import json
import math
import re
import shutil
from contextlib import closing
from dataclasses import asdict, replace
from datetime import date
from pathlib import Path
from sqlite3 import connect
from typing import Any

import pytest
import tiny_audit
import torch
from evidence_sample import Sample, checkpoint_facts, fill, provenance_facts, with_checkpoint
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from checker import reports
from checker.audit import audit
from checker.checkpoints.digests import file_sha256, root_digest
from checker.checkpoints.files import Files
from checker.commands.verify import remeasured
from checker.core import history
from checker.core.errors import CannotRun, EvidenceDamaged
from checker.core.facts import Facts, ModelFacts
from checker.core.layouts import Layout
from checker.core.records import COMPLETENESS
from checker.core.store import Store
from checker.judge import origin
from checker.judge.measured import judge
from checker.measure import run
from checker.measure.blocks import BlockStack
from checker.measure.cut_checkpoint import save
from checker.measure.engine import Engine
from checker.measure.prepare import prepare
from checker.release import card_block, rows
from checker.release.seal import judged_by, seal
from checker.release.verify import verify
from checker.selection.plan import plan
from checker.spec import checkpoint_facts as checkpoint_facts_of
from checker.spec import load
from checker.spec.claims.removal import Removal

pytestmark = pytest.mark.usefixtures("one_thread")

COST = "scope: contract, perplexity_increase: {at_most: 1000000}, protocol: replacement"
CLAIMS = f"""
  - {{id: derived, kind: removal, layers: from-checkpoint, checkpoint: released/pruned, {COST}}}
  - {{id: stated, kind: removal, layers: [1, 3], checkpoint: released/pruned, {COST}}}
  - {{id: wrong, kind: removal, layers: [1, 4], checkpoint: released/pruned, {COST}}}
  - {{id: trained, kind: removal, checkpoint: healed, {COST}}}
  - {{id: merged, kind: removal, layers: from-checkpoint, checkpoint: merged/pruned, {COST}}}"""
CHECKPOINTS = "{healed: {kind: directory, path: trained/pruned, healed: true, blocks: true}}"
SMALL = {
    "methods": "[interchange, replacement]",
    "budgets": "[1]",
    "claims": CLAIMS,
    "checkpoints": CHECKPOINTS,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The audit file with three checkpoints beside it, all in folders of the same name."""
    folder = tmp_path_factory.mktemp("audit")
    tiny_audit.write(folder, **SMALL)
    for name, layout in {"released": "(0,2,4,5)", "merged": "(0,mix(1:.5,2:.5)@1,4,5)"}.items():
        save(tiny_audit.build(), tiny_audit.tokenizer(False), Layout.parse(layout), folder / name / "pruned")
    shutil.copytree(folder / "released", folder / "trained")
    model = AutoModelForCausalLM.from_pretrained(folder / "trained" / "pruned")
    with torch.no_grad():
        model.model.layers[1].mlp.up_proj.weight.add_(0.01 * torch.ones(64, 32))
    model.save_pretrained(folder / "trained" / "pruned")
    (folder / "trained" / "pruned" / "README.md").write_text("It was fine-tuned afterwards. It has 5 layers.\n")
    return folder


@pytest.fixture(scope="module")
def report(folder: Path) -> dict[str, Any]:
    return dict(audit(folder / "audit.yaml", out=folder / "out").report)


def claim(report: dict[str, Any], name: str) -> dict[str, Any]:
    return next(dict(row) for row in report["claims"] if row["id"] == name)


def released(report: dict[str, Any], name: str) -> dict[str, Any]:
    return next(dict(row) for row in report["released"]["checkpoints"] if row["name"] == name)


def findings(report: dict[str, Any], rule: str) -> dict[str | None, tuple[str, str]]:
    return {row["claim"]: (row["outcome"], row["message"]) for row in report["findings"] if row["rule"] == rule}


# --- plain loops -----------------------------------------------------------------------------------------------------


def logits(model: torch.nn.Module, ids: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=ids, use_cache=False).logits.double()


@pytest.mark.parametrize(("name", "path"), [("healed", "trained"), ("released/pruned", "released")])
def test_a_checkpoint_is_measured_as_a_plain_loop_measures_it(
    folder: Path, report: dict[str, Any], name: str, path: str
) -> None:
    base = AutoModelForCausalLM.from_pretrained(folder / "model").eval()
    own = AutoModelForCausalLM.from_pretrained(folder / path / "pruned").eval()
    tokenizer = AutoTokenizer.from_pretrained(folder / path / "pruned")
    distances, agreements = [], []
    for line in (folder / "prompts.jsonl").read_text().splitlines():
        ids = torch.tensor([tokenizer(json.loads(line)["text"])["input_ids"][: tiny_audit.PROMPT_TOKENS]])
        p, q = (torch.log_softmax(logits(model, ids), -1)[0] for model in (base, own))
        distances.append(float((p.exp() * (p - q)).sum(-1).mean()))
        agreements.append(float((p.argmax(-1) == q.argmax(-1)).double().mean()))
    words = " ".join((folder / "evaluation.txt").read_text().split()[: tiny_audit.WORDS])
    ids = tokenizer(words)["input_ids"]
    loss, scored, start = 0.0, 1, 0
    while scored < len(ids):
        window = ids[start : start + tiny_audit.WINDOW]
        log_p = torch.log_softmax(logits(own, torch.tensor([window])), -1)[0]
        for place in range(scored - start, len(window)):
            loss -= float(log_p[place - 1, window[place]])
        scored, start = start + len(window), start + tiny_audit.STRIDE
    found = released(report, name)["own"]
    assert found["kl"]["value"] == pytest.approx(sum(distances) / len(distances), rel=1e-4)
    assert found["top1_agreement"]["value"] == pytest.approx(sum(agreements) / len(agreements), abs=1e-9)
    assert found["perplexity"]["value"] == pytest.approx(math.exp(loss / (len(ids) - 1)), rel=1e-5)
    scored_bytes = len(words.encode()) - len(words.split()[0].encode())
    assert found["bits_per_byte"]["value"] == pytest.approx(loss / math.log(2) / scored_bytes, rel=1e-5)


def test_deleting_one_more_block_of_a_checkpoint_is_measured_where_asked_for(
    folder: Path, report: dict[str, Any]
) -> None:
    """As in an audit of the checkpoint itself."""
    tiny_audit.write_audit(
        folder, "own.yaml", model="{kind: directory, path: trained/pruned}", claims="[]", waivers="[]"
    )
    own = dict(audit(folder / "own.yaml", out=folder / "own").report)
    asked = {row["block"]: row["value"] for row in released(report, "healed")["deletions"]}
    assert asked == {row["block"]: row["single_deletion_increase_percent"] for row in own["blocks"]}
    assert released(report, "released/pruned")["deletions"] == []


# --- verdicts and rules ----------------------------------------------------------------------------------------------


def test_a_claim_is_decided_by_its_checkpoint(report: dict[str, Any]) -> None:
    derived, stated, trained = claim(report, "derived"), claim(report, "stated"), claim(report, "trained")
    assert derived["verdict"] == "supported"
    assert derived["message"] == stated["message"] == claim(report, "wrong")["message"]
    assert derived["says"] == (
        "The checkpoint released/pruned costs at most 1e+06 % perplexity, on this very text; rests on replacement."
    )
    for row, name in ((derived, "released/pruned"), (trained, "healed")):
        assert row["value"] == released(report, name)["own"]["increase"]["value"]
    raw, healed = released(report, "healed")["raw"], released(report, "healed")
    assert raw["increase"]["value"] == pytest.approx(derived["value"], rel=1e-6)
    assert healed["healing"]["value"] == pytest.approx(
        100 * ((100 + trained["value"]) / (100 + derived["value"]) - 1), rel=1e-6
    )


def test_a_merged_checkpoint_is_measured_as_it_is(report: dict[str, Any]) -> None:
    found, row = claim(report, "merged"), released(report, "merged/pruned")
    assert (found["verdict"], found["value"]) == ("supported", row["own"]["increase"]["value"])
    assert row["raw"]["layout"] == "(0,mix(1:.5,2:.5)@1,4,5)"
    assert row["raw"]["increase"]["value"] == pytest.approx(found["value"], rel=1e-5)
    assert row["provenance"]["done"] == "block 3 removed, 1 merged"


def test_the_rules_hold_claims_against_their_checkpoints(report: dict[str, Any]) -> None:
    layers = findings(report, "provenance/layers-differ")
    lacking = "released/pruned: found the model without blocks 1, 3; expected the model without blocks 1, 4"
    assert layers == {
        "stated": ("pass", "released/pruned is the model without blocks 1, 3, as the claim says"),
        "wrong": ("fail", f"{lacking}, as the claim says; correct `layers`, or export the checkpoint again"),
    }
    trained = findings(report, "checkpoint/healed-shown-as-removal")
    assert set(trained.values()) == {
        ("pass", "released/pruned holds the model's own weights, as they are, rounded or merged"),
        ("pass", "merged/pruned holds the model's own weights, as they are, rounded or merged"),
        trained["trained"],
    }
    assert trained["trained"][1].startswith(
        "healed is declared healed, and holds 1 of 4 blocks with other weights in up_proj "
    )
    assert {outcome for outcome, _ in findings(report, "provenance/block-count").values()} == {"pass"}


# --- runs ------------------------------------------------------------------------------------------------------------


def test_judging_needs_no_weights(folder: Path, report: dict[str, Any], tmp_path: Path) -> None:
    shutil.copytree(folder / "out", tmp_path / "out")
    shutil.copy(folder / "audit.yaml", tmp_path)
    loaded = load.check(tmp_path / "audit.yaml", attached=False).audit
    with Store(tmp_path / "out" / "evidence.db", create=False) as store:
        again = judge(loaded, store)
    for key in ("claims", "released"):
        assert json.loads(json.dumps(again[key])) == json.loads(json.dumps(report[key]))


def test_a_further_run_loads_nothing(folder: Path, report: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "load_model", lambda *_: pytest.fail("a model was loaded"))
    again = dict(audit(folder / "audit.yaml", out=folder / "out").report)
    assert again["released"] == report["released"]


def test_a_run_that_was_stopped_at_a_checkpoint_goes_on_there(
    folder: Path, report: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    load_model, loaded = run.load_model, []

    def stopping(files: Files, *arguments: Any) -> Any:
        loaded.append(str(files.folder.relative_to(folder)))
        if len(loaded) == 3:
            raise KeyboardInterrupt
        return load_model(files, *arguments)

    monkeypatch.setattr(run, "load_model", stopping)
    with pytest.raises(KeyboardInterrupt):
        audit(folder / "audit.yaml", out=tmp_path)
    again = dict(audit(folder / "audit.yaml", out=tmp_path).report)
    # The model comes again, for its last states; the first checkpoint, which was whole, does not.
    assert loaded == ["model", "trained/pruned", "released/pruned", "model", "released/pruned", "merged/pruned"]
    assert again["released"] == report["released"]


def test_a_claim_that_was_added_after_the_run_is_open(folder: Path, report: dict[str, Any]) -> None:
    added = [f"claims=[{{id: later, kind: removal, checkpoint: later/pruned, {COST}}}]"]
    loaded = load.check(folder / "audit.yaml", added, attached=False).audit
    with Store(folder / "out" / "evidence.db", create=False) as store:
        later = judge(loaded, store)
    assert claim(dict(later), "later")["message"].startswith(
        "what later/pruned costs is not measured, run the audit to its end; claimed of this very text"
    )
    assert findings(dict(later), COMPLETENESS)[None] == (
        "open",
        "the checkpoint later/pruned is not measured; run the audit to its end",
    )


def test_a_pack_holds_what_its_claims_rest_on(folder: Path, report: dict[str, Any], tmp_path: Path) -> None:
    sealed = seal(folder / "out", tmp_path / "pack", judged_by(str(folder / "audit.yaml")), date(2030, 1, 1))
    kept = json.loads((sealed.folder / "records.json").read_text())
    names = [record["content"]["name"] for record in kept if record["name"] == "checkpoint"]
    assert sorted(names) == ["healed", "merged/pruned", "released/pruned"]
    assert str(folder) not in (sealed.folder / "audit.json").read_text()
    found = verify(sealed)
    assert found.differences == ()
    assert found.report["released"] == json.loads(json.dumps(report["released"]))


def test_a_packs_checkpoints_are_measured_again(folder: Path, report: dict[str, Any], tmp_path: Path) -> None:
    sealed = seal(folder / "out", tmp_path / "pack", judged_by(str(folder / "audit.yaml")), date(2030, 1, 1))
    again = remeasured(sealed, 1000, 0, folder / "audit.yaml")
    assert all(mean.found == pytest.approx(mean.measured, rel=1e-6) for mean in again)
    own = {(mean.checkpoint, mean.text, mean.quantity): mean for mean in again if mean.layout == "(0,1,2,3)"}
    names = ("healed", "merged/pruned", "released/pruned")
    asked = (("evaluation", "nll"), ("model", "kl"), ("model", "top1"))
    assert set(own) == {(name, *each) for name in names for each in asked}
    for name in names:
        figures = released(report, name)["own"]
        assert own[name, "model", "kl"].measured == pytest.approx(figures["kl"]["value"], rel=1e-6)
        loss = own[name, "evaluation", "nll"].measured
        assert loss == pytest.approx(math.log(figures["perplexity"]["value"]), rel=0.02), "windows weigh alike here"
    assert sum(mean.checkpoint == "healed" and len(Layout.parse(mean.layout)) == 3 for mean in again) == 4
    raw = next(
        mean for mean in again if mean.checkpoint is None and (mean.layout, mean.quantity) == ("(0,2,4,5)", "kl")
    )
    assert str(own["healed", "model", "kl"]).startswith(
        "rows.jsonl: kl of (0,1,2,3) of the checkpoint healed on the scoring text: found a mean of "
    )
    assert str(raw).startswith("rows.jsonl: kl of (0,2,4,5) on the ")


def test_made_up_figures_of_a_checkpoint_are_found_out(folder: Path, report: dict[str, Any], tmp_path: Path) -> None:
    out = Path(shutil.copytree(folder / "out", tmp_path / "out"))
    healed = released(report, "healed")["digest"]
    sealed = seal(out, tmp_path / "pack", judged_by(str(folder / "audit.yaml")), date(2030, 1, 1))
    measured = rows.read(sealed.bytes("rows.jsonl"))
    with closing(connect(out / "evidence.db", isolation_level=None)) as database:
        database.execute("DELETE FROM answers")
    with Store(out / "evidence.db") as store:
        store.add(
            replace(each, values=0.9 * each.values) if (each.scope.model, each.text) == (healed, "model") else each
            for each in measured
        )
    forged = seal(out, tmp_path / "forged", judged_by(str(folder / "audit.yaml")), date(2030, 1, 1))
    assert verify(forged).differences == ()
    wrong = [mean for mean in remeasured(forged, 1000, 0, folder / "audit.yaml") if not mean.agrees]
    assert {(mean.checkpoint, mean.text) for mean in wrong} == {("healed", "model")}


def test_a_card_says_what_a_checkpoint_lacks_and_costs(folder: Path, report: dict[str, Any], tmp_path: Path) -> None:
    sealed = seal(folder / "out", tmp_path / "pack", judged_by(str(folder / "audit.yaml")), date(2030, 1, 1))
    lines = card_block.block(card_block.source(sealed)).split("\n")
    [line] = [line for line in lines if line.startswith("- **Checkpoint healed:** ")]
    own = released(report, "healed")["own"]
    assert "** blocks 1, 3 removed, 1 of 4 changed in up_proj, and it is declared healed; 6 → 4 blocks; " in line
    assert f" → {own['perplexity']['value']:.4g} [" in line
    assert f"; KL {own['kl']['value']:.3g} nats [" in line
    assert line.endswith(f"; float32, sha256 {released(report, 'healed')['digest']}")


def test_a_checkpoint_is_held_against_its_pin_and_the_files_at_hand(
    folder: Path, report: dict[str, Any], tmp_path: Path
) -> None:
    """When it is judged, and not only when it is measured."""
    moved = Path(shutil.copytree(folder, tmp_path / "moved"))

    def failures(*overrides: str) -> list[str]:
        loaded = load.check(moved / "audit.yaml", overrides, attached=False).audit
        with Store(moved / "out" / "evidence.db", create=False) as store:
            report = judge(loaded, store)
        concluded = [row for row in report["findings"] if row["rule"] == "model/weights-differ"]
        return [row["message"] for row in concluded if row["outcome"] != "pass"]

    assert failures() == []
    pinned = failures(f"checkpoints.healed.sha256={'ab' * 32}")
    assert [message.split(" of weights")[0] for message in pinned] == ["checkpoint healed: found evidence"]
    config = moved / "trained" / "pruned" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"max_position_embeddings": 128}))
    assert failures() == ["checkpoint healed: found files at hand with context 128; expected 64, as measured"]


def test_claims_on_checkpoints_and_their_rules_are_in_the_formats_for_programs(
    folder: Path, report: dict[str, Any], tmp_path: Path
) -> None:
    for name in ("sarif", "junit", "github"):
        reports.render(report, tmp_path, (name,))
    [run_of] = json.loads((tmp_path / "report.sarif").read_text())["runs"]
    results = {(row["ruleId"], row["kind"]): row for row in run_of["results"]}
    wrong = results["provenance/layers-differ", "fail"]
    assert "expected the model without blocks 1, 4" in wrong["message"]["text"]
    line = wrong["locations"][0]["physicalLocation"]["region"]["startLine"]
    assert "id: wrong" in (folder / "audit.yaml").read_text().splitlines()[line - 1]
    written = (tmp_path / "report.junit.xml").read_text()
    assert 'name="healed-shown-as-removal (claim trained)"' in written
    assert "supported: the checkpoint healed" in written


def test_the_files_of_every_checkpoint_are_in_the_pack(folder: Path, report: dict[str, Any], tmp_path: Path) -> None:
    sealed = seal(folder / "out", tmp_path / "pack", judged_by(str(folder / "audit.yaml")), date(2030, 1, 1))
    stated = sealed.json("artifacts.json")["checkpoints"]
    for name, path in (("healed", "trained"), ("released/pruned", "released"), ("merged/pruned", "merged")):
        files = {file: file_sha256(folder / path / "pruned" / file) for file in stated[name]["files"]}
        assert stated[name] == {"files": files, "root": root_digest(files)}
        assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(files)


ONE_BATCH = """
  scoring: {kind: rows, path: prompts.jsonl, prompts: 12, tokens: 24, batch_tokens: 4096}
  evaluation: {kind: file, path: evaluation.txt, words: 320, window: 32, stride: 16, batch_tokens: 4096,
    boundary: whole_window}"""


@pytest.mark.parametrize("methods", ["[interchange, replacement]", "[interchange, replacement, deletion]"])
def test_the_plan_prices_what_the_engine_runs(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, methods: str
) -> None:
    """Each text is one batch here, of which the engine counts its runs."""
    # Of the second, the raw removal is a single deletion as well, of which KL is known before top-1 is asked for.
    save(tiny_audit.build(), tiny_audit.tokenizer(False), Layout.parse("(0,1,3,4,5)"), tmp_path / "less")
    further = CHECKPOINTS.replace("}}", f"}}, less: {{kind: directory, path: {tmp_path / 'less'}}}}}")
    sections = SMALL | {"data": ONE_BATCH, "methods": methods, "checkpoints": further}
    file = tiny_audit.write_audit(folder, "priced.yaml", **sections)
    engines: list[Engine] = []

    def counted(stack: BlockStack) -> Engine:
        engines.append(Engine(stack))
        return engines[-1]

    monkeypatch.setattr(run, "Engine", counted)
    prepared = prepare(load.check(file).audit)
    planned = plan(prepared.audit, prepared.facts)
    cost = dict(audit(file, out=tmp_path / "out").report)["cost"]
    spent = [engine.block_runs for engine in engines]
    assert [each.block_runs for each in planned.checkpoints.values()] == spent[1:], "one engine a checkpoint"
    assert planned.own.block_runs + planned.kept.block_runs == spent[0]
    assert cost["block_runs"] == planned.cost.block_runs == sum(spent)
    assert list(planned.checkpoints) == ["healed", "less", "released/pruned", "merged/pruned"]
    assert spent[1] == 4 + (3 + 2 + 1) + 4, "its text, its single deletions, its distance"
    assert spent[2] == 5 + 5


def test_the_plan_needs_no_weights(folder: Path) -> None:
    """From the headers alone, it is the same: which blocks were removed, claims say here."""
    prepared = prepare(load.check(folder / "audit.yaml").audit)
    checked = load.check(folder / "audit.yaml")
    assert checked.facts is not None
    headers = checkpoint_facts_of.headers(checked.audit).items()
    known = {name: found for name, found in headers if isinstance(found, ModelFacts)}
    read, unread = plan(prepared.audit, prepared.facts), plan(checked.audit, Facts(checked.facts), known)
    assert {name: each.block_runs for name, each in read.checkpoints.items()} == {
        name: each.block_runs for name, each in unread.checkpoints.items()
    }
    assert unread.cost.memory == read.cost.memory
    assert unread.notes[-1] == (
        "healed, released/pruned and merged/pruned: which blocks they lack is known once the weights are read: "
        "the removal beside it is estimated"
    )


def test_a_checkpoint_is_read_before_anything_is_measured(folder: Path) -> None:
    prepared = prepare(load.check(folder / "audit.yaml").audit)
    derived = next(each for each in prepared.audit.claims if each.id == "derived")
    assert isinstance(derived, Removal)
    assert derived.layers == (1, 3)
    trained = prepared.facts.checkpoint("healed")
    assert trained is not None
    assert trained.provenance is not None
    assert (trained.model.blocks, trained.provenance.retrained) == (4, (1,))


# --- checkpoints that are not like the model -------------------------------------------------------------------------


def other(folder: Path, name: str, model: torch.nn.Module, tokenizer: Any = None) -> Path:
    """An audit beside the others whose one checkpoint is ``model``, saved in the folder ``name``."""
    model.save_pretrained(folder / name)
    (tokenizer or tiny_audit.tokenizer(False)).save_pretrained(folder / name)
    claims = f"[{{id: cost, kind: removal, checkpoint: {name}, perplexity_increase: {{at_most: 5}}}}]"
    checkpoints = f"{{{name}: {{kind: directory, path: {name}}}}}"
    return tiny_audit.write_audit(folder, f"{name}.yaml", **SMALL | {"claims": claims, "checkpoints": checkpoints})


def test_a_checkpoint_of_another_family_and_depth(folder: Path) -> None:
    """Measured as it is; its weights cannot be held against the model's."""
    config = GPT2Config(vocab_size=len(tiny_audit.VOCABULARY), n_positions=64, n_embd=16, n_layer=9, n_head=2)
    found = dict(audit(other(folder, "gpt2", GPT2LMHeadModel(config)), out=folder / "gpt2-out").report)
    row = released(found, "gpt2")
    assert row["own"]["blocks"] == 9
    assert row["own"]["kl"]["value"] > 0.0
    assert row["raw"] is row["healing"] is None
    assert claim(found, "cost")["value"] == row["own"]["increase"]["value"]
    text = (folder / "gpt2-out" / "report.md").read_text()
    assert "### gpt2: what was done to the model's blocks is open" in text


def test_a_checkpoint_with_another_vocabulary_has_no_distance(folder: Path) -> None:
    model = tiny_audit.build()
    model.resize_token_embeddings(len(tiny_audit.VOCABULARY) + 5)
    found = dict(audit(other(folder, "padded", model), out=folder / "padded-out").report)
    row = released(found, "padded")
    size = len(tiny_audit.VOCABULARY)
    assert (row["own"]["kl"], row["no_distance"]) == (
        None,
        f"its vocabulary has {size + 5} entries, and the model's {size}",
    )
    assert row["own"]["increase"] is not None
    assert findings(found, COMPLETENESS)[None][0] == "pass"


def test_a_checkpoint_with_another_tokenizer_is_held_against_it_by_bytes_alone(folder: Path) -> None:
    words = list(tiny_audit.VOCABULARY)
    words[3], words[4] = words[4], words[3]
    inner = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    swapped = PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<unk>")
    found = dict(audit(other(folder, "swapped", tiny_audit.build(), swapped), out=folder / "swapped-out").report)
    row = released(found, "swapped")
    assert re.fullmatch(r"prompt \d+ of the scoring text, position \d+: token id [34], and [34] with .*", row["unlike"])
    assert (row["own"]["kl"], row["own"]["increase"]) == (None, None)
    assert claim(found, "cost")["message"].startswith("the perplexity of swapped is not comparable with the model's: ")


def test_losses_under_another_tokenizer_are_held_against_the_models_by_stretches_of_bytes(folder: Path) -> None:
    """A vocabulary in another order, with embeddings and head to match, is the very same model: it costs nothing."""
    words, model = list(tiny_audit.VOCABULARY), tiny_audit.build()
    order = [0, 1, 2, *range(len(words) - 1, 2, -1)]
    with torch.no_grad():
        for weight in (model.model.embed_tokens.weight, model.lm_head.weight):
            weight.copy_(weight[order].clone())
    inner = Tokenizer(models.WordLevel({words[old]: new for new, old in enumerate(order)}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    reordered = PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<unk>")
    file = other(folder, "reordered", model, reordered)
    file.write_text(file.read_text().replace("perplexity_increase", "bits_per_byte_increase"))
    found = dict(audit(file, out=folder / "reordered-out").report)
    row, cost = released(found, "reordered"), claim(found, "cost")
    assert row["own"]["perplexity"]["value"] == pytest.approx(found["baseline"]["perplexity"], rel=1e-5)
    assert row["own"]["bits_per_byte"]["value"] == pytest.approx(found["baseline"]["bits_per_byte"], rel=1e-5)
    assert row["bits_per_byte_increase"]["value"] == pytest.approx(0.0, abs=1e-4)
    assert cost["message"].startswith("reordered, as it is, costs ")
    assert " % bits per byte" in cost["message"]
    prepared = prepare(load.check(file).audit)
    (fact,) = prepared.facts.checkpoints
    assert fact.stretches is not None
    text = " ".join((folder / "evaluation.txt").read_text().split()[: tiny_audit.WORDS])
    first = len(text.split()[0].encode())
    assert fact.stretches.first_byte == first
    assert sum(fact.stretches.bytes) == len(text.encode()) - first
    assert set(fact.stretches.bytes[:-1]) <= {2048}
    assert sorted(fact.stretches.own) == sorted(fact.stretches.model)
    sealed = seal(folder / "reordered-out", folder / "reordered-pack", judged_by(str(file)), date(2030, 1, 1))
    assert verify(sealed).differences == ()


@pytest.mark.parametrize("boundary", ["skip_first", "whole_window"])
def test_text_that_is_not_scored_once_gives_no_stretches(folder: Path, boundary: str) -> None:
    file = folder / "swapped.yaml"
    overrides = [f"data.evaluation.boundary={boundary}"]
    (fact,) = prepare(load.check(file, overrides).audit).facts.checkpoints
    assert (fact.stretches, fact.no_stretches) == (
        None,
        f"boundary {boundary} does not score every token once; use every_token",
    )


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ("model.safetensors", "checkpoint broken: {path}/model.safetensors: found "),
        ("tokenizer.json", "checkpoint broken: {path}: found a tokenizer that does not load ("),
    ],
)
def test_a_broken_checkpoint_is_named_before_anything_is_measured(folder: Path, broken: str, message: str) -> None:
    file = other(folder, "broken", tiny_audit.build())
    path = folder / "broken" / broken
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(CannotRun) as error:
        audit(file, out=folder / "broken-out")
    assert str(error.value).startswith(message.format(path=folder / "broken"))
    assert not (folder / "broken-out").exists()


# --- facts of strangers ----------------------------------------------------------------------------------------------


def with_facts(**changes: Any) -> Sample:
    return replace(with_checkpoint(), checkpoints=(checkpoint_facts(**changes),))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"removed": (4, 8)}, "found blocks up to 8, 2 of them removed; expected a part of the 8 blocks"),
        ({"removed": tuple(range(8))}, "found blocks up to 7, 8 of them removed; expected a part of the 8 blocks"),
        ({"layout": "(0,1,2,3,5,9)"}, "found the layout '(0,1,2,3,5,9)'; expected one of 6 blocks out of 8"),
        ({"layout": "(0,1)"}, "found the layout '(0,1)'; expected one of 6 blocks out of 8"),
        ({"layout": "(0,1,2,3,5,x)"}, "found the layout '(0,1,2,3,5,x)' ("),
    ],
)
def test_facts_that_cannot_be_of_the_model_are_damage(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    sample = with_facts(provenance=provenance_facts(**changes))
    with Store(tmp_path / "evidence.db") as store:
        fill(store, replace(sample, checkpoints=with_checkpoint().checkpoints))
        [(key, _)] = store._connection.execute("SELECT key, content FROM records WHERE name = 'checkpoint'")
        store.write_record("checkpoint", key, asdict(sample.checkpoints[0]))
        with pytest.raises(EvidenceDamaged, match=re.escape(f"checkpoint: {message}")):
            judge(sample.audit, store)


@pytest.mark.parametrize(
    "changes", [{"name": "another"}, {"model": replace(checkpoint_facts().model, block_parameters=(1,))}]
)
def test_facts_of_another_checkpoint_are_damage(changes: dict[str, Any], tmp_path: Path) -> None:
    sample = with_checkpoint()
    with Store(tmp_path / "evidence.db") as store:
        fill(store, sample)
        [(key, _)] = store._connection.execute("SELECT key, content FROM records WHERE name = 'checkpoint'")
        store.write_record("checkpoint", key, asdict(checkpoint_facts(**changes)))
        with pytest.raises(EvidenceDamaged):
            judge(sample.audit, store)


def test_which_of_two_equal_blocks_is_gone_is_not_guessed() -> None:
    told = {
        ((4, 5),): None,  # 4 is gone and 5 is not, or the other way round
        ((4, 6),): (4, 6),  # both are gone
        ((0, 1),): (4, 6),  # both are there
        (): (4, 6),
    }
    for twins, layers in told.items():
        sample = with_facts(provenance=provenance_facts(twins=twins))
        asked = [
            replace(each, layers=None, from_checkpoint=True)
            for each in sample.audit.claims_of(Removal)
            if each.checkpoint is not None
        ]
        (known,) = checkpoint_facts_of.with_layers(replace(sample.audit, claims=tuple(asked)), sample.facts).claims
        assert isinstance(known, Removal)
        assert known.layers == layers


def test_a_run_is_remembered_wherever_the_checkpoint_lay(tmp_path: Path) -> None:
    sample = with_checkpoint()
    shorter = replace(sample, prompts=8)
    (here,) = sample.audit.checkpoints
    moved = replace(here, source=replace(here.source, path="/here/pruned"))
    with Store(tmp_path / "evidence.db") as store:
        history.write_run(store, sample.audit, shorter.facts, {each.id: "supported" for each in sample.audit.claims})
        seen = origin.origin_of(store, replace(sample.audit, checkpoints=(moved,)), sample.facts)
    assert [set(run["verdicts"].values()) for run in seen["other_runs"]] == [{"supported"}]

"""The kinds of files that commands read from strangers, how wrong ones are made, and what takes them.

Each kind's function makes, in an empty folder, what is needed once, and returns what makes an input and what takes it:
the function that the command calls, which refuses or returns the messages it has to say.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from shutil import copytree
from typing import Any

import input_mutations as mutations
import published_sample
import sealed_run
import tiny_files
import yaml
from folders import ROOT
from input_mutations import Mutated, as_yaml
from pack_mutations import LITERALS

from checker import reports
from checker.checkpoints import files, model_card, model_facts
from checker.core import history
from checker.core.facts import Facts
from checker.core.records import Audit, ModelSource
from checker.core.store import Store, _bound
from checker.judge import measured, published
from checker.judge.evidence import stored_evidence
from checker.published import importing
from checker.published.importers.importer import Request
from checker.published.load import any_audit
from checker.release import card_block
from checker.reports import read
from checker.selection.plan import plan
from checker.spec import load, policies

Make = Callable[[Random], Any]
Feed = Callable[[Any], Sequence[str] | None]


@dataclass(frozen=True)
class Kind:
    """``share`` of all inputs is of this kind; ``setup`` makes, in a folder, what makes an input and what takes it."""

    share: float
    setup: Callable[[Path], tuple[Make, Feed]]


# --- audits and policies ---------------------------------------------------------------------------------------------


def audits(folder: Path) -> tuple[Make, Feed]:
    """As `validate` and `plan` read them."""
    copytree(ROOT / "tests" / "spec", folder / "spec")
    seeds = [path.read_bytes() for path in sorted((ROOT / "tests/spec/accept").glob("*.yaml"))]
    path = folder / "spec" / "accept" / "fuzzed.yaml"

    def take(content: bytes) -> None:
        path.write_bytes(content)
        checked = load.check(path, hub_cache=folder)
        if checked.facts is not None:
            plan(checked.audit, Facts(checked.facts))

    return Mutated([seed for seed in seeds if b"published:" not in seed], _yaml, as_yaml), take


def published_audits(folder: Path) -> tuple[Make, Feed]:
    """As `validate` and `judge` read them."""
    copytree(ROOT / "tests" / "spec", folder / "spec")
    whole = {"pruneaudit": 1, "published": {**published_sample.BASE, **published_sample.FULL}}
    seeds = [path.read_bytes() for path in sorted((ROOT / "tests/spec/accept").glob("published*.yaml"))]
    path = folder / "spec" / "accept" / "fuzzed.yaml"

    def take(content: bytes) -> None:
        path.write_bytes(content)
        found, _ = any_audit(path, hub_cache=folder)
        if not isinstance(found, Audit):
            reports.check(published.judge(found))

    return Mutated([*seeds, as_yaml(whole)], _yaml, as_yaml), take


def policy_files(folder: Path) -> tuple[Make, Feed]:
    """As `--policy` reads them."""
    texts = sorted([*(ROOT / "audits/policies").glob("*.yaml"), ROOT / "tests/spec/policies/ours.yaml"])
    path = folder / "fuzzed.yaml"

    def take(content: bytes) -> None:
        path.write_bytes(content)
        policies.load(str(path))

    return Mutated([text.read_bytes() for text in texts], _yaml, as_yaml), take


def _yaml(content: bytes) -> Any:
    return yaml.safe_load(content)


# --- checkpoints -----------------------------------------------------------------------------------------------------


def safetensors(folder: Path) -> tuple[Make, Feed]:
    source = tiny_files.write_model(folder / "model")
    whole = (folder / "model" / "model.safetensors").read_bytes()
    length = struct.unpack("<Q", whole[:8])[0]
    header, data = whole[8 : 8 + length], whole[8 + length :]
    inner = Mutated([header], json.loads)

    def make(rng: Random) -> bytes:
        made = inner(rng)
        size = len(made) if rng.random() < 0.9 else rng.choice([0, 2**63, len(made) + 1, 2**64 - 1, 10**8])
        whole = struct.pack("<Q", size) + made + data
        return whole if rng.random() < 0.9 else mutations.in_bytes(rng, whole, whole)

    return make, _file_of_model(folder / "model" / "model.safetensors", source)


def gguf(folder: Path) -> tuple[Make, Feed]:
    path = folder / "model.gguf"

    def make(rng: Random) -> bytes:
        entries, tensors = list(tiny_files.NAMED), list(tiny_files.BLOCKS)
        for _ in range(rng.choice([0, 1, 2])):
            key = rng.choice(["general.architecture", "llama.block_count", "llama.vocab_size", "split.count", "x"])
            text = tiny_files.gguf_text(rng.choice(mutations.TEXTS).encode(errors="replace").decode())
            number = rng.choice([0, 1, 2, 2**31, 2**32 - 1, 2**63, 2**64 - 1])
            array = struct.pack("<IQ", rng.choice([0, 4, 8, 9, 77]), rng.choice([0, 3, number]))
            deep = struct.pack("<IQ", 9, 1) * rng.choice([2, 70, 3000])
            whole = struct.pack("<Q", number)
            kind, raw = rng.choice([(8, text), (10, whole), (9, array + text), (12, rng.randbytes(8)), (9, deep)])
            entries[rng.randrange(len(entries)) if rng.random() < 0.5 else len(entries) :] = [
                tiny_files.entry(key, kind, raw)
            ]
        if rng.random() < 0.5:
            shape = [rng.choice([0, 1, 4, 2**32, 2**63]) for _ in range(rng.choice([0, 1, 2, 5]))]
            name = rng.choice(["blk.0.w", "blk.1.x", "blk.99999999.w", "blk.-1.w", "blk.٣.w", "w" * 2000])
            tensors.append(tiny_files.tensor_info(name, shape, rng.choice([0, 1, 2, 99]), rng.choice([0, 32, 2**63])))
        whole = tiny_files.gguf_bytes(entries, tensors, rng.choice([64, 64, 0, 96]), rng.choice([3, 3, 2, 1, 9]))
        return whole if rng.random() < 0.4 else mutations.in_bytes(rng, whole, whole)

    return make, _file_of_model(path, ModelSource("gguf", path=str(path)))


def _file_of_model(path: Path, source: ModelSource) -> Feed:
    """Puts a content in the place of one of a model's files and reads the facts of all headers, as `init` does."""

    def take(content: bytes) -> None:
        path.write_bytes(content)
        model_facts.facts(files.locate(source), source)

    return take


CONFIGS: Sequence[dict[str, Any]] = (
    dict(tiny_files.CONFIG),
    {**tiny_files.CONFIG, "architectures": ["LlamaForCausalLM"], "layer_types": ["full_attention", "sliding_attention"],
     "torch_dtype": "float32", "max_position_embeddings": 64, "rope_scaling": {"rope_type": "linear", "factor": 2.0},
     "quantization_config": {"quant_method": "gptq", "bits": 4}},
    {"model_type": "gemma3", "text_config": {**tiny_files.CONFIG, "is_encoder_decoder": False}, "auto_map": {}},
    {"tokenizer_class": "PreTrainedTokenizerFast", "added_tokens_decoder": {"0": {"content": "<s>", "special": True}},
     "bos_token": "<s>", "model_max_length": 10**30, "chat_template": "{{ messages }}"},
)  # fmt: skip


def configs(folder: Path) -> tuple[Make, Feed]:
    """config.json and tokenizer_config.json, of which the headers' facts are read."""
    source = tiny_files.write_model(folder / "model")
    inner = Mutated([json.dumps(config).encode() for config in CONFIGS], json.loads)
    whole = (folder / "model" / "config.json").read_bytes()

    def take(made: tuple[str, bytes]) -> None:
        (folder / "model" / "config.json").write_bytes(whole)
        (folder / "model" / made[0]).write_bytes(made[1])
        model_facts.facts(files.locate(source), source)

    return lambda rng: (rng.choice(["config.json"] * 3 + ["tokenizer_config.json"]), inner(rng)), take


def prepared(folder: Path) -> tuple[Make, Feed]:
    """The files of a model that can run, all the way to what is measured: built, and the texts tokenised."""
    import tiny_audit

    from checker.measure.prepare import prepare

    path = tiny_audit.write(folder / "whole")
    names = ("config.json", "tokenizer_config.json", "tokenizer.json", "generation_config.json")
    whole = {name: (path.parent / "model" / name).read_bytes() for name in names}
    inner = {name: Mutated([content], json.loads) for name, content in whole.items()}

    def make(rng: Random) -> tuple[str, bytes]:
        name = rng.choice(names)
        return name, inner[name](rng)

    def take(made: tuple[str, bytes]) -> None:
        for name, content in {**whole, made[0]: made[1]}.items():
            (path.parent / "model" / name).write_bytes(content)
        prepare(load.check(path).audit)

    return make, take


# --- cards and tables ------------------------------------------------------------------------------------------------

CARD = b"""---
license: mit
base_model: org/base-8b
tags: [pruned, "layer removal"]
model-index:
- name: x
  results: [{task: {type: text-generation}, dataset: {type: wikitext, name: WikiText}, metrics: []}]
---
# base-8b-pruned

Layers 3, 7 and 12 were removed. See `config.json`.

| Model | Layers | Removed | WikiText-2 PPL | MMLU |
|---|--:|---|--:|--:|
| base | 32 | none | 6.14 | 65.2 % |
| pruned | 29 | 3, 7, 12 | 7.90 (+28.7 %) | **61.0** |

```yaml
slices:
  - sources: [{model: org/base-8b, layer_range: [0, 3]}]
  - sources: [{model: org/base-8b, layer_range: [4, 32]}]
merge_method: passthrough
```
"""


def cards(folder: Path) -> tuple[Make, Feed]:
    """As `card` writes into them and a run reads them."""
    source = card_block.source(sealed_run.sealed_small(folder / "sealed"))
    written = card_block.written(CARD.decode(), source, "README.md").encode()
    path = folder / "README.md"

    def take(content: bytes) -> None:
        path.write_bytes(content)
        model_card.facts(folder)
        text = model_card.read(path)
        card_block.other_base_model(text, source)
        model_card.base_models(text)
        card_block.disagreement(text, card_block.written(text, source, str(path)), str(path))

    return Mutated([CARD, written]), take


MERGE = {"slices": [{"sources": [{"model": "org/base", "layer_range": [0, 3]}]},
                    {"sources": [{"model": "org/base", "layer_range": [4, 8]}]}],
         "merge_method": "passthrough", "dtype": "bfloat16"}  # fmt: skip
HARNESS = {"results": {"wikitext": {"alias": "wikitext", "word_perplexity,none": 12.5, "word_perplexity_stderr,none":
           "N/A"}, "mmlu": {"acc,none": 0.5, "acc_stderr,none": 0.01}}, "versions": {"wikitext": 2}, "config":
           {"model": "hf", "model_args": "pretrained=org/x,dtype=float32", "limit": None}, "n-shot": {"wikitext": 0},
           "model_name": "org/x", "samples": {"mmlu": []}}  # fmt: skip
SCORES = {"model": "m", "pairwise": [{"a": 0, "b": 1, "kl": 0.5}, {"a": 1, "b": 2, "kl": "0.25"}]}
TABLE = b"layer_a,layer_b,kl,low,high\n0,1,0.90,0.8,1.0\n1,2,0.08,0.07,0.09\n2,3,4e-2,0.03,0.05\n"
MAP = {"i": ("layer_a",), "j": ("layer_b",), "value": ("kl",)}


def tables(folder: Path) -> tuple[Make, Feed]:
    """Scores, slices, cards and results of the harness, as `import` reads them."""
    requests = {
        "csv": Request(folder / "x.csv", {**MAP, "low": ("low",), "high": ("high",)}),
        "json": Request(folder / "x.json", {"i": ("a",), "j": ("b",), "value": ("kl",)}, records="pairwise"),
        "mergekit": Request(folder / "x.yaml", blocks=8),
        "card": Request(folder / "x.md"),
        "harness": Request(folder / "results.json"),
    }
    made_of = {
        "csv": Mutated([TABLE, TABLE.replace(b",", b"\t"), TABLE.replace(b",", b";")]),
        "json": Mutated([mutations.as_json(SCORES)], json.loads),
        "mergekit": Mutated([as_yaml(MERGE)], _yaml, as_yaml),
        "card": Mutated([CARD]),
        "harness": Mutated([mutations.as_json(HARNESS)], json.loads),
    }

    def make(rng: Random) -> tuple[str, bytes]:
        kind = rng.choice(sorted(requests))
        return kind, made_of[kind](rng)

    def take(made: tuple[str, bytes]) -> list[str]:
        request = requests[made[0]]
        request.path.write_bytes(made[1])
        return list(importing.imported(request, made[0]).not_understood)

    return make, take


# --- what a run leaves -----------------------------------------------------------------------------------------------


def evidence(folder: Path) -> tuple[Make, Feed]:
    """A store as `judge` reads it: bytes changed, or cells changed and, of records, their digests mended."""
    sealed_run.sealed_small(folder)
    database, path = folder / "run" / "evidence.db", folder / "fuzzed" / "evidence.db"
    audit = load.check(folder / "sample.yaml", attached=False).audit
    with Store(database) as store:
        history.write_run(
            store, audit, stored_evidence(audit, store).facts, {claim.id: "open" for claim in audit.claims}
        )
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("PRAGMA journal_mode=DELETE")
        records = connection.execute("SELECT number, name, key, content FROM records").fetchall()
    whole = database.read_bytes()
    path.parent.mkdir()

    def make(rng: Random) -> tuple[bytes, tuple[Any, ...] | None]:
        if rng.random() < 0.4:
            return mutations.in_bytes(rng, whole, whole)[: len(whole) * 2], None
        number, name, key, content = rng.choice(records)
        made = mutations.in_structure(rng, json.loads(content), json.loads(rng.choice(records)[3]))
        text = json.dumps(made) if rng.random() < 0.9 else rng.choice(LITERALS).decode(errors="replace")
        return whole, (number, text, _bound(name, key, text))

    def take(made: tuple[bytes, tuple[Any, ...] | None]) -> None:
        path.write_bytes(made[0])
        if made[1] is not None:
            number, text, digest = made[1]
            with contextlib.closing(sqlite3.connect(path)) as connection, connection:
                connection.execute(
                    "UPDATE records SET content = ?, digest = ? WHERE number = ?", (text, digest, number)
                )
        with Store(path, create=False) as store:
            reports.check(measured.judge(audit, store, sealed_run.DAY))

    return make, take


def report_files(folder: Path) -> tuple[Make, Feed]:
    """A report.json as `report` renders it, in every format."""
    sealed_run.sealed_small(folder)
    whole = {"pruneaudit": 1, "published": {**published_sample.BASE, **published_sample.FULL}}
    (folder / "paper.yaml").write_bytes(as_yaml(whole))
    paper = published.judge(any_audit(folder / "paper.yaml")[0])
    seeds = [(folder / "run" / "report.json").read_bytes(), mutations.as_json(paper)]
    formats = tuple(reports.FORMATS)

    def take(content: bytes) -> None:
        (folder / "run" / "report.json").write_bytes(content)
        found = read.any_report(folder / "run")
        reports.render(found, folder / "out", formats)
        reports.summary(found, 100)

    return Mutated(seeds, json.loads), take


KINDS = {
    "audit": Kind(0.03, audits),
    "policy": Kind(0.05, policy_files),
    "published": Kind(0.012, published_audits),
    "safetensors": Kind(0.28, safetensors),
    "gguf": Kind(0.3, gguf),
    "config": Kind(0.15, configs),
    "prepare": Kind(0.002, prepared),
    "card": Kind(0.015, cards),
    "table": Kind(0.153, tables),
    "evidence": Kind(0.006, evidence),
    "report": Kind(0.002, report_files),
}

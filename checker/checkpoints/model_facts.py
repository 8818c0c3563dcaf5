"""What a model's headers and configuration say of it: blocks, shapes, parameters; weights stay unread."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from checker.checkpoints.config import COUNTS, announced, cache_values, of_text
from checker.checkpoints.digests import file_sha256, listing_digest
from checker.checkpoints.files import FETCH_AGAIN, Files
from checker.checkpoints.gguf import GgufArray, GgufHeader, read_gguf
from checker.checkpoints.safetensors import read_index, read_safetensors
from checker.checkpoints.tensors import FLOATS, Placed, Tensor, stacks
from checker.core.canonical import digest, read_json
from checker.core.errors import CannotRun
from checker.core.facts import ModelFacts
from checker.core.records import ModelSource


class NotAudited(CannotRun):
    """A model of a kind that is not audited: ``what`` it is, and which ``only`` are."""

    def __init__(self, place: Path, what: str, only: str) -> None:
        super().__init__(f"{place}: this is {what}; {only}")
        self.what, self.only = what, only


def facts(files: Files, source: ModelSource) -> ModelFacts:
    """What headers and configuration say of the model; its digest is left None.

    CannotRun where a header or config.json is damaged, or where the two disagree on the number of blocks. NotAudited
    where the model is no decoder, or has a single block.
    """
    described = _of_gguf(files) if files.config is None else _of_folder(files, files.config, source.blocks)
    if described.blocks == 1:
        raise NotAudited(files.folder, "a model of one block", "with one block nothing can be removed or compared")
    name = {"hub": source.repo, "package": f"{source.package}/{source.file}"}.get(source.kind)
    return replace(
        described,
        source=name or Path(source.path or "").name,
        kind=source.kind,
        revision=files.revision,
        remote_code=bool(files.code),
        weight_bytes=sum(path.stat().st_size for path in files.weights),
    )


def _of_folder(files: Files, path: Path, stack: str | None) -> ModelFacts:
    whole = read_json(path)
    _check_decoder(path, whole)
    config = of_text(whole)
    tensors = [placed.tensor for placed in placed_tensors(files) if not placed.tensor.constant]
    count = _count(path, config, tensors)
    blocks = _stack(files, tensors, count, stack)
    hidden = _number(path, config, ("hidden_size", "n_embd", "d_model", "n_embed", "dim"))
    sizes = {"vocab_size": config.get("vocab_size") or _largest_embedding(tensors, hidden)}
    kind, notes = _stored_as(tensors, whole)
    kinds = config.get("layer_types") or []
    if kinds and (not isinstance(kinds, list) or len(kinds) != count):
        raise CannotRun.at(path, f"layer_types {str(kinds)[:80]}", f"a list of {count} names", FETCH_AGAIN)
    context = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "n_ctx")
    return _model_facts(
        blocks,
        tensors,
        architecture=_architecture(whole),
        slot_kinds=tuple(_printable(name) for name in kinds),
        hidden=hidden,
        vocabulary=_number(path, sizes, ("vocab_size",)),
        context=_number(path, config, context) if any(config.get(key) for key in context) else None,
        tokenizer_digest=listing_digest({path.name: file_sha256(path) for path in files.tokenizer}),
        quantization=kind,
        notes=notes,
        cache_values=cache_values(config, count),
    )


def _architecture(config: Mapping[str, Any]) -> str:
    listed = config.get("architectures")
    return _printable(listed[0] if isinstance(listed, list) and listed else config.get("model_type"))


def _check_decoder(path: Path, config: Mapping[str, Any]) -> None:
    """A decoder that was taken out of a larger model may still name its encoder's layers, and says that it is none."""
    stacks_of_both = all(any(name in config for name in (f"{part}_layers", part)) for part in ("encoder", "decoder"))
    conditional = "ConditionalGeneration" in _architecture(config)
    if config.get("is_encoder_decoder", stacks_of_both and conditional) is True:
        what = f"an encoder-decoder model ({_architecture(config)})"
        raise NotAudited(path, what, "decoder-only models alone are audited")


def _count(path: Path, config: Mapping[str, Any], tensors: Iterable[Tensor]) -> int:
    """The number of blocks, as config.json says it, or as the weights do where they have one stack and it says none."""
    if all(config.get(name) is None for name in COUNTS):
        if (listed := announced(config)) is not None:
            return listed
        found = list(stacks(tensors).values())
        if len(found) == 1 and len(found[0]) == max(found[0]) + 1:
            return len(found[0])
    return _number(path, config, COUNTS)


def _of_gguf(files: Files) -> ModelFacts:
    path = files.weights[0]
    header = _whole(path)
    architecture = _printable(header.metadata.get("general.architecture"))
    count, size = f"{architecture}.block_count", f"{architecture}.vocab_size"
    context = f"{architecture}.context_length"
    tensors = [tensor for tensor in header.tensors if not tensor.constant]
    kind, notes = _stored_as(tensors, {})
    tokens = header.metadata.get("tokenizer.ggml.tokens")
    sizes = {size: tokens.length if isinstance(tokens, GgufArray) else None, **header.metadata}
    return _model_facts(
        _stack(files, tensors, _number(path, sizes, (count,)), "blk"),
        tensors,
        architecture=architecture,
        slot_kinds=(),
        hidden=_number(path, sizes, (f"{architecture}.embedding_length",)),
        vocabulary=_number(path, sizes, (size,)),
        context=_number(path, sizes, (context,)) if context in sizes else None,
        tokenizer_digest=header.tokenizer_digest,
        quantization=kind,
        notes=notes,
        cache_values=cache_values(_attention(header.metadata, architecture), _number(path, sizes, (count,))),
    )


def _whole(path: Path) -> GgufHeader:
    header = read_gguf(path)
    if isinstance(parts := header.metadata.get("split.count"), int) and parts > 1:
        raise CannotRun.at(
            path, f"one of {parts} parts of a model", "a whole one", "merge the parts with `llama-gguf-split --merge`"
        )
    return header


def settings(files: Files) -> Mapping[str, Any]:
    """The configuration of a model's language model; of a GGUF file its sizes, under the names of config.json."""
    if files.config is not None:
        return of_text(read_json(files.config))
    metadata = _whole(files.weights[0]).metadata
    architecture, tokens = metadata.get("general.architecture"), metadata.get("tokenizer.ggml.tokens")
    found = {
        "num_hidden_layers": metadata.get(f"{architecture}.block_count"),
        "hidden_size": metadata.get(f"{architecture}.embedding_length"),
        "vocab_size": tokens.length if isinstance(tokens, GgufArray) else metadata.get(f"{architecture}.vocab_size"),
    }
    return {name: value for name, value in found.items() if value is not None}


def _attention(metadata: Mapping[str, Any], architecture: str) -> dict[str, Any]:
    """A GGUF header's settings of attention, under the names that config.json has for them."""
    names = {
        "hidden_size": "embedding_length",
        "num_attention_heads": "attention.head_count",
        "num_key_value_heads": "attention.head_count_kv",
        "head_dim": "attention.key_length",
        "kv_lora_rank": "attention.kv_lora_rank",
    }
    return {name: metadata.get(f"{architecture}.{key}") for name, key in names.items()}


def _model_facts(
    blocks: Sequence[Sequence[Tensor]], tensors: Sequence[Tensor], vocabulary: int, **known: Any
) -> ModelFacts:
    """``facts`` still sets what depends on the source: its name, kind and revision."""
    inside = {tensor.name for numbers in stacks(tensors).values() for block in numbers.values() for tensor in block}
    embeddings = [t for t in tensors if t.name not in inside and len(t.shape) == 2 and t.shape[0] == vocabulary]
    return ModelFacts(
        vocabulary=vocabulary,
        embedding_parameters=sum(tensor.elements for tensor in embeddings),
        source="",
        kind="",
        blocks=len(blocks),
        parameters=sum(tensor.elements for tensor in tensors),
        block_parameters=tuple(sum(tensor.elements for tensor in block) for block in blocks),
        block_shapes=tuple(digest(sorted([t.name, list(t.shape)] for t in block)) for block in blocks),
        **known,
    )


def placed_tensors(files: Files) -> list[Placed]:
    """The tensors of all shards; CannotRun where one stands twice or the index names one that its shard lacks."""
    if files.config is None:
        return list(_whole(files.weights[0]).placed)
    homes: dict[str, str] = {}
    tensors: list[Placed] = []
    for path in files.weights:
        for placed in read_safetensors(path):
            name = placed.tensor.name
            if name in homes:
                double = f"tensor {name!r}, which is in {homes[name]} too"
                raise CannotRun.at(path, double, "each tensor once", FETCH_AGAIN)
            homes[name] = path.relative_to(files.folder).as_posix()
            tensors.append(placed)
    for name, shard in (read_index(files.index) if files.index else {}).items():
        if homes.get(name) != PurePosixPath(shard).as_posix():
            missing = f"tensor {name!r} said to be in {shard}, which has no such tensor"
            raise CannotRun.at(files.index, missing, "index and shards to agree", FETCH_AGAIN)
    return tensors


def _stack(files: Files, tensors: Iterable[Tensor], count: int, stack: str | None) -> list[list[Tensor]]:
    """Per block, its tensors with the stack's prefix and number taken off their names.

    The stack is the one prefix whose numbers are 0 to ``count - 1``. Where several are, the one that shares most parts
    of its name with ``stack``: attribute names and the names in files differ in their first parts.
    """
    by_prefix = stacks(tensors)
    fitting = [prefix for prefix, numbers in by_prefix.items() if len(numbers) == count == max(numbers) + 1]
    if stack and len(fitting) > 1:
        shared = {prefix: len(set(prefix.split(".")) & set(stack.split("."))) for prefix in fitting}
        fitting = [prefix for prefix in fitting if shared[prefix] == max(shared.values())]
    if len(fitting) == 1:
        return [by_prefix[fitting[0]][number] for number in range(count)]
    place = files.config or files.weights[0]
    if fitting:
        several = f"{len(fitting)} stacks of {count} blocks ({', '.join(sorted(fitting))})"
        raise CannotRun.at(place, several, "one", "name the decoder's in `model.blocks:`")
    largest = sorted(by_prefix.items(), key=lambda item: (-len(item[1]), item[0]))[:3]
    described = "; ".join(f"{prefix} with {len(n)} blocks, {min(n)} to {max(n)}" for prefix, n in largest)
    raise CannotRun.at(
        place,
        f"tensors for {described or 'no numbered blocks'}",
        f"a stack numbered 0 to {count - 1}, as its count of {count} says",
        "correct the count, or fetch the weights it belongs to",
    )


def _stored_as(tensors: Iterable[Tensor], config: Mapping[str, Any]) -> tuple[str | None, tuple[str, ...]]:
    """The quantised type that holds most parameters, and what a reader should know of it."""
    counts: Counter[str] = Counter()
    for tensor in tensors:
        counts[tensor.kind] += tensor.elements
    packed = sorted((kind for kind in counts if kind not in FLOATS), key=lambda kind: (-counts[kind], kind))
    settings = config.get("quantization_config")
    if isinstance(settings, dict):
        method = _printable(settings.get("quant_method"))
        return method, (f"weights are stored quantised ({method}); parameter counts are of stored elements",)
    if not packed:
        return None, ()
    rest = (f"some tensors are stored as {', '.join(packed[1:])}",) if packed[1:] else ()
    return packed[0], (f"weights are de-quantised from {packed[0]}", *rest)


def _largest_embedding(tensors: Iterable[Tensor], hidden: int) -> int | None:
    outside = [t.shape[0] for t in tensors if not stacks([t]) and len(t.shape) == 2 and t.shape[1] == hidden]
    return max(outside, default=None)  # for nested configurations, which may leave defaults out


def _number(path: Path, config: Mapping[str, Any], names: Sequence[str]) -> int:
    """The first of ``names`` that is there; CannotRun where none is, or where it is no whole number above 0."""
    value = next((config[name] for name in names if config.get(name) is not None), None)
    if type(value) is not int or not 0 < value < 2**31:
        raise CannotRun.at(path, f"{str(value)[:40]!r} for {' or '.join(names)}", "a whole number above 0", FETCH_AGAIN)
    return value


def _printable(value: object) -> str:
    return value if isinstance(value, str) and value.isprintable() and len(value) <= 200 else "unknown"

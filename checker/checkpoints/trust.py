"""What of a stranger's model folder may be read, and whether code that lies in it may run.

A model is data here: configuration, tokenizer, safetensors. transformers would also follow links and names out of the
folder, unpickle weights, download kernels that a configuration names, and run Python files; each of these is refused
or, for Python files alone, done where both the audit file and the command line say so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from checker.core.canonical import read_json
from checker.core.errors import CannotRun, UsageError
from checker.core.files import lacking
from checker.core.records import ModelSource

PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib")
OPTION = "--trust-remote-code"

_SETTINGS_LIMIT = 10_000_000  # bytes of config.json
_TOKENIZER_LIMIT = 256_000_000  # bytes of a tokenizer's file; the largest that are published have some 40 MB
_MODULE = re.compile(r"(?P<module>[A-Za-z_]\w*)\.[A-Za-z_]\w*", re.ASCII)
_IMPLEMENTATION = re.compile(r"_?(?:attn|experts)_implementation(?:_internal)?")
# What transformers has itself; any other name is that of a repository of compiled code, which it would download.
_BUILT_IN = frozenset({
    "eager", "sdpa", "flex_attention", "flash_attention_2", "flash_attention_3", "flash_attention_4", "batched_mm",
    "grouped_mm",
})  # fmt: skip


class FileMissing(CannotRun):
    """A file that the model needs is not there."""


def check_agreed(sources: Mapping[str, ModelSource], repeated: bool) -> None:
    """UsageError unless audit file and command line agree on whether code that comes with models may run.

    ``sources`` go by their sections in the audit file; ``repeated`` is whether the command line has
    ``--trust-remote-code``.
    """
    trusting = [section for section, source in sources.items() if source.trust_remote_code]
    if trusting and not repeated:
        raise UsageError.at(
            f"{trusting[0]}.trust_remote_code",
            f"true in the audit file, and no {OPTION} on the command line",
            "both, because code that comes with the model runs with all your rights",
            f"read that code, then add {OPTION}",
        )
    if repeated and not trusting:
        raise UsageError.at(
            OPTION,
            f"it on the command line, and no `{next(iter(sources))}.trust_remote_code: true` in the audit file",
            "both",
            "leave the option out, or say so in the audit file, where readers see it",
        )


def existing(folder: Path, name: str) -> Path | None:
    """``folder/name`` if it is a file, None if there is none; CannotRun where the name leads out of the folder.

    ``folder`` is resolved. The hub cache keeps a snapshot's files as links into the repository's own ``blobs``.
    """
    caches = (up.parent for up in folder.parents if up.name == "snapshots" and up.parent.name.startswith("models--"))
    homes = [folder, *(cache / "blobs" for cache in caches)]
    pure = PurePosixPath(name)
    try:
        target = (folder / name).resolve()
        there, special = target.is_file(), target.exists() and lacking(target) == "a device or a pipe"
    except (OSError, RuntimeError, ValueError):  # links in a circle, names the system cannot take
        target, there, special = Path("/"), False, False
    plain = name.isprintable() and not pure.is_absolute() and ".." not in pure.parts
    if not plain or not any(target.is_relative_to(home) for home in homes):
        raise CannotRun.at(
            folder,
            f"{name!r}, which leads out of the folder",
            "only files inside it",
            "copy the file into the folder, and do not use a model whose files point elsewhere",
        )
    if special and not there:
        raise CannotRun.at(folder / name, "a device or a pipe", "a regular file", "do not use a model that holds such")
    return folder / name if there else None


def pickles(folder: Path) -> list[str]:
    """Names of the files in a folder that hold weights in a form that may run code when it is read."""
    return sorted(path.name for path in folder.iterdir() if path.suffix.lower() in PICKLES)


def check_tokenizer(path: Path) -> Path:
    """The path of a tokenizer's file; CannotRun where the file is larger than any tokenizer is."""
    _check_size(path, _TOKENIZER_LIMIT, "tokenizer")
    return path


def _check_size(path: Path, limit: int, kind: str) -> None:
    if (size := path.stat().st_size) > limit:
        most = f"at most {limit}, more than any {kind} takes"
        raise CannotRun.at(path, f"{size} bytes", most, "fetch the file again")


def check_settings(config: Path) -> None:
    """CannotRun where config.json is too large, or names compiled code that transformers would download and run."""
    _check_size(config, _SETTINGS_LIMIT, "configuration")
    entries = (entry for part in _parts(read_json(config)) if isinstance(part, dict) for entry in part.items())
    for key, value in entries:
        for name in _texts(value) if _IMPLEMENTATION.fullmatch(key) else ():
            if name not in _BUILT_IN:
                raise CannotRun.at(
                    config,
                    f"{key} {name[:80]!r}",
                    "one that transformers has itself, because it would download any other and run it",
                    f"take `{key}` out of the file",
                )


def names_code(settings: Iterable[Path]) -> bool:
    """Whether an ``auto_map`` in one of the JSON files ``settings`` names code that comes with the model."""
    return any(True for path in settings for _ in _texts(read_json(path).get("auto_map")))


def code_files(folder: Path, settings: Iterable[Path]) -> tuple[Path, ...]:
    """The Python files in ``folder``, sorted, where an ``auto_map`` in one of the JSON files ``settings`` names code.

    CannotRun where the code it names lies in another repository, or is not there.
    """
    names = {name for path in settings for name in _texts(read_json(path).get("auto_map"))}
    for name in sorted(names):
        match = _MODULE.fullmatch(name)
        if match is None:
            raise CannotRun.at(
                folder,
                f"code called {name[:80]!r} in `auto_map`",
                "`module.Class`, a Python file of this folder, because no digest covers code from elsewhere",
                "copy the file into the folder",
            )
        if existing(folder, f"{match['module']}.py") is None:
            raise FileMissing.at(
                folder,
                f"no {match['module']}.py, which `auto_map` names",
                "it beside config.json",
                "fetch the model again, with its code",
            )
    if not names:
        return ()
    return tuple(code for path in sorted(folder.glob("*.py")) if (code := existing(folder, path.name)))


def _texts(value: Any) -> Iterator[str]:
    """Every text in a JSON value, keys aside."""
    return (part for part in _parts(value) if isinstance(part, str))


def _parts(value: Any) -> Iterator[Any]:
    """A JSON value and every value in it, at any depth."""
    left = [value]
    while left:
        part = left.pop()
        yield part
        if isinstance(part, dict | list):
            left += part.values() if isinstance(part, dict) else part

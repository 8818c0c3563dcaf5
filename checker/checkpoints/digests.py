"""A model's files by digest, and the one digest that names them all.

The root digest is the one that a signature by the OpenSSF's model-signing carries as its subject: the sha256 over the
raw sha256 digests of the files, in the order of their paths, part by part; names enter by this order only. Compared on
19 files in nested folders, on a model's folder and on a single file, with the subject that ``model_signing.hashing``
and its payload give (PyPI model-signing 1.1.1, method ``files``, sha256): equal. That tool takes every file of a folder
but git's own; here it is the files that a run reads: configuration, weights and their index, tokenizer, and code where
the audit lets it run. A card beside them can be written anew without making another model. To sign the same digest,
sign a folder of these files alone, or name the others with ``--ignore-paths``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from checker.checkpoints.files import Files
from checker.core.errors import DigestMismatch
from checker.core.files import opened
from checker.core.records import ModelSource

RECORD = "artifacts"  # under the weights' digest: what a run read
_CONFIG = "config.json"
_MEASURED = (".safetensors", ".py")  # what numbers depend on, beside the configuration


def file_digests(files: Files) -> dict[str, str]:
    """sha256 (hex) of every file that a run reads, by its path in the model's folder; reads them all, in pieces."""
    settings = (path for path in (files.config, files.index) if path is not None)
    return _by_name(files, (*settings, *files.weights, *files.tokenizer, *files.code))


def root_digest(digests: Mapping[str, str]) -> str:
    """The root digest (hex) of files given by path and sha256; ValueError where a digest is not hexadecimal."""
    order = sorted(digests, key=PurePosixPath)
    return hashlib.sha256(b"".join(bytes.fromhex(digests[name]) for name in order)).hexdigest()


def weights_digest_of(digests: Mapping[str, str]) -> str | None:
    """What ``weights_digest`` gives of these files; None where they are not those of one model."""
    if len(digests) == 1:
        return next(iter(digests.values()))
    measured = {name: digest for name, digest in digests.items() if name == _CONFIG or name.endswith(_MEASURED)}
    return listing_digest(measured) if _CONFIG in measured else None


def listing_digest(digests: Mapping[str, str]) -> str:
    """sha256 (hex) of the UTF-8 lines ``<name> <sha256 of the file>\\n``, sorted by name."""
    lines = (f"{name} {digests[name]}\n" for name in sorted(digests))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """sha256 (hex) of a file's bytes, read in pieces."""
    with opened(path) as file:
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
    return listing_digest(_by_name(files, (files.config, *files.weights, *files.code)))


def _by_name(files: Files, paths: Iterable[Path]) -> dict[str, str]:
    return {path.relative_to(files.folder).as_posix(): file_sha256(path) for path in paths}


def check_pin(source: ModelSource, files: Files, weights: str | None = None) -> None:
    """DigestMismatch where ``source.sha256`` is set and is not the weights' digest.

    ``weights`` is ``weights_digest(files)`` where the caller has it already; else it is computed, if there is a pin.
    """
    if source.sha256 is None:
        return
    weights = weights_digest(files) if weights is None else weights
    if weights != source.sha256.lower():
        raise DigestMismatch(str(files.weights[0] if files.config is None else files.folder), weights, source.sha256)

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
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from checker.checkpoints.files import Files
from checker.core.errors import DigestMismatch
from checker.core.records import ModelSource

RECORD = "artifacts"  # under the weights' digest: what a run read
_CONFIG = "config.json"
_MEASURED = (".safetensors", ".py")  # what numbers depend on, beside the configuration


def file_digests(files: Files) -> dict[str, str]:
    """sha256 (hex) of every file that a run reads, by its path in the model's folder; reads them all, in pieces."""
    paths = (files.config, files.index, *files.weights, *files.tokenizer, *files.code)
    return {path.relative_to(files.folder).as_posix(): file_sha256(path) for path in paths if path is not None}


def root_digest(digests: Mapping[str, str]) -> str:
    """The root digest (hex) of files given by path and sha256; ValueError where a digest is not hexadecimal."""
    order = sorted(digests, key=PurePosixPath)
    return hashlib.sha256(b"".join(bytes.fromhex(digests[name]) for name in order)).hexdigest()


def weights_digest_of(digests: Mapping[str, str]) -> str | None:
    """What ``checkpoints.weights_digest`` gives of these files; None where they are not those of one model."""
    if len(digests) == 1:
        return next(iter(digests.values()))
    named = {name: digest for name, digest in digests.items() if name == _CONFIG or name.endswith(_MEASURED)}
    lines = (f"{name} {named[name]}\n" for name in sorted(named))
    return hashlib.sha256("".join(lines).encode()).hexdigest() if _CONFIG in named else None


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

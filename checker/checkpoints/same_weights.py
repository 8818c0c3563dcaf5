"""Which models have files of weights in common, found out without reading most of them, and without a network.

A file in the hub's cache is called by its digest. Of any other one, its length and some stretches are looked at; where
two agree in these, both are read whole.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from checker.checkpoints.digests import file_sha256
from checker.checkpoints.files import Files
from checker.core.files import opened

_STRETCH = 1 << 16  # bytes
_STRETCHES = 16


@dataclass(frozen=True)
class Shared:
    """Two models, by their names, and how many of the files of weights of the second one the first has too."""

    one: str
    other: str
    files: int
    whole: int

    def __str__(self) -> str:
        if self.files == self.whole:
            return f"{self.other} has the weights of {self.one}: no two measurements can be made of them"
        return f"{self.other} has {self.files} of its {self.whole} files of weights from {self.one}"


def shared(models: Mapping[str, Files]) -> Iterator[Shared]:
    """Every two models that share files of weights; OSError where one cannot be read."""
    known = {name: [_Weights(path) for path in files.weights] for name, files in models.items()}
    for one, other in combinations(known, 2):
        common = sum(any(theirs.same(ours) for theirs in known[one]) for ours in known[other])
        if common:
            yield Shared(one, other, common, len(known[other]))


class _Weights:
    """A file of weights; what tells it from others is read when it is asked for, and once."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.size = self.path.stat().st_size
        self.digest = self.path.name if re.fullmatch("[0-9a-f]{64}", self.path.name) else None
        self._glimpse: str | None = None

    def same(self, other: _Weights) -> bool:
        if self.path == other.path:
            return True
        if self.size != other.size:
            return False
        if self.digest is None or other.digest is None:
            if self.glimpse != other.glimpse:
                return False
            self.digest, other.digest = self.digest or file_sha256(self.path), other.digest or file_sha256(other.path)
        return self.digest == other.digest

    @property
    def glimpse(self) -> str:
        """Digest of some stretches of the file."""
        if self._glimpse is None:
            hashed = hashlib.sha256()
            with opened(self.path) as file:
                for place in range(_STRETCHES):
                    file.seek(self.size * place // _STRETCHES)
                    hashed.update(file.read(_STRETCH))
            self._glimpse = hashed.hexdigest()
        return self._glimpse

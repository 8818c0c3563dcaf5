"""What names a file whatever the machine, and digests."""

from __future__ import annotations

import pytest

from checker.core.canonical import digest
from checker.core.records import ModelSource, TextSource


def test_an_identity_is_the_same_wherever_the_files_lie() -> None:
    here, there = (TextSource("file", path=f"/{folder}/text.txt") for folder in ("a", "b"))
    assert here.identity == there.identity
    assert here.identity != TextSource("file", path="/a/other.txt").identity
    assert here.identity != TextSource("file", path="/a/text.txt", drop_empty=True).identity
    model, moved = (ModelSource("directory", path=f"/{folder}/m", device=where) for folder, where in ("ac", "bg"))
    assert model.identity == moved.identity
    assert model.identity != ModelSource("directory", path="/a/m2").identity


def test_a_digest_depends_on_values_and_not_on_their_order() -> None:
    assert digest({"a": 1, "b": [1.5, "ü"]}) == digest({"b": (1.5, "ü"), "a": 1})
    assert digest({"a": 1}) != digest({"a": 1.5})
    with pytest.raises(ValueError, match="not JSON compliant"):
        digest({"a": float("nan")})

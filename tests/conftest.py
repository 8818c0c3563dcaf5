"""Fixtures that tests of several packages use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from command_line import command

__all__ = ["command"]


@pytest.fixture
def eight_blocks_predict(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the sample's eight blocks show that a protocol predicts: of so few shifts no p below 1 / 16 can come."""
    for module in ("checker.judge.claims.backing", "checker.judge.rules.protocol"):
        monkeypatch.setattr(f"{module}.PREDICTING_P", 1 / 16)


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Runs a module's tiny models on one thread."""
    import tiny_audit  # and torch with it, which few tests need

    with tiny_audit.one_thread():
        yield

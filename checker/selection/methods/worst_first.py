"""Worst first: another method's order turned round, as the sanity control that must be catastrophic."""

from __future__ import annotations

from collections.abc import Mapping

from checker.selection.methods.method import Method


def turned_round(scores: Mapping[int, float]) -> dict[int, float]:
    """The scores with their signs changed, so that what the method would keep longest goes first."""
    return {block: -score for block, score in scores.items()}


METHOD = Method(
    name="worst_first",
    summary="the order of the method named in `of`, turned round",
    source="sanity control",
    turns_round=True,
)

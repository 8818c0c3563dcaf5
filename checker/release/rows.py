"""Measured values as JSON lines, one per question with its whole answer, and back; in memory, as the bytes of a file.

Keys: ``model`` and ``contract`` (digests), ``text``, ``quantity``, ``blocks`` (``3-5`` for a quantity of a run of
blocks, else empty), ``layout``, and ``values``: one list per batch, a number per unit; a batch that was not measured is
an empty list. What a value means stands at ``core.questions.Question``. Every line is canonical JSON, and the lines are
ordered by the other keys, so that the same answers give the same bytes. ``datasets.load_dataset("json", ...)`` reads
them.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from checker.core.canonical import canonical
from checker.core.store import Answer, Scope
from checker.release.pack import LARGEST_TEXT, WRITTEN, damaged, parse

TEXTS = ("model", "contract", "text", "quantity", "blocks", "layout")
LARGEST_LAYOUT = 100_000  # characters
MOST_LISTS = 1_000_000  # one with a number is six bytes in the file, and some hundred in memory
Question = tuple[str, ...]  # as ``TEXTS`` names its parts


def write(answers: Sequence[Answer]) -> bytes:
    """The lines of answers, which may come in any order."""
    lines = []
    for question, parts in groupby(sorted(answers, key=_question), key=_question):
        batches = {part.batch: part.values.tolist() for part in parts}
        values = [batches.get(batch, []) for batch in range(max(batches) + 1)]
        lines.append(canonical({**dict(zip(TEXTS, question, strict=True)), "values": values}) + "\n")
    return "".join(lines).encode()


def read(content: bytes, place: str = "rows.jsonl") -> list[Answer]:
    """The answers of lines, one per batch; EvidenceDamaged where they are not exactly what ``write`` gives.

    Sizes are bounded before anything is parsed. ``place`` is what messages call the file.
    """
    if (lists := content.count(b"[")) > MOST_LISTS:
        raise damaged(place, f"{lists} lists", f"at most {MOST_LISTS}")
    answers: list[Answer] = []
    before: Question = ()
    for number, line in enumerate(io.BytesIO(content), start=1):
        here = f"{place}, line {number}"
        if not line.endswith(b"\n") or len(line) > LARGEST_TEXT:
            raise damaged(here, f"a line of {len(line)} bytes", f"at most {LARGEST_TEXT}, and a line break at its end")
        row = _row(parse(line[:-1], here), here)
        question = tuple(row[name] for name in TEXTS)
        if question <= before:
            raise damaged(here, f"values of {_named(question)}", "lines in their order, and each question once")
        answers += _answers(question, row["values"], here)
        before = question
    return answers


def _row(row: Any, place: str) -> dict[str, Any]:
    """A line's value, where it has the keys of one and their types."""
    if not isinstance(row, dict) or set(row) != {*TEXTS, "values"} or not all(type(row[name]) is str for name in TEXTS):
        raise damaged(place, f"{row!r:.80}", f"texts called {', '.join(TEXTS)}, and values")
    if len(row["layout"]) > LARGEST_LAYOUT:
        raise damaged(place, f"a layout of more than {LARGEST_LAYOUT} characters", "shorter ones")
    values = row["values"]
    lists = isinstance(values, list) and all(isinstance(batch, list) for batch in values)
    if not lists or not all(type(value) is float for batch in values for value in batch):
        raise damaged(place, f"the values {values!r:.80}", "a list of numbers with a decimal point for each batch")
    if not values or not values[-1]:
        raise damaged(place, "no value in the last batch", "only batches up to the last one that was measured")
    return row


def _answers(question: Question, values: list[list[float]], place: str) -> Iterator[Answer]:
    model, contract, text, quantity, blocks, layout = question
    asked = f"{quantity} {blocks}".strip()
    if asked.partition(" ")[::2] != (quantity, blocks):  # else two lines could answer one question
        raise damaged(place, f"the quantity {quantity!r:.40} of the blocks {blocks!r:.40}", WRITTEN)
    for batch, units in enumerate(values):
        if units:
            yield Answer(Scope(model, contract), text, asked, layout, batch, np.array(units))


def _question(answer: Answer) -> Question:
    quantity, _, blocks = answer.asked.partition(" ")
    return (answer.scope.model, answer.scope.contract, answer.text, quantity, blocks, answer.layout)


def _named(question: Question) -> str:
    _, _, text, quantity, blocks, layout = question
    return f"{quantity} {blocks}".strip()[:40] + f" of {layout[:80]} on {text[:20]}"

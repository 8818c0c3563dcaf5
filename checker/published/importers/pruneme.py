"""PruneMe's layer_distances.csv -> the run of blocks that it calls the best to remove.

PruneMe (github.com/arcee-ai/PruneMe) writes, for each run of a fixed number of blocks, the angular distance between the
hidden states before and after it. Its ``block_start`` counts from 1 and names the block in front of the run, so that
the run is the half-open range [block_start, block_end) when blocks count from 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from checker.core.errors import UsageError
from checker.published.importers.draft import MODEL, Draft, blank, one_line
from checker.published.importers.importer import (
    LARGEST_TABLE,
    MOST_ROWS,
    Importer,
    Request,
    block_count,
    model,
    read_text,
    whole_number,
)
from checker.published.score_files import is_decimal

HEADER = ("block_start", "block_end", "average_distance")
Run = tuple[int, int, str, int]  # first block, end, distance as written, line


def header_line(lines: list[str]) -> int | None:
    """The number, from 0, of the line with PruneMe's header; some versions write lines above it."""
    names = [tuple(field.strip() for field in line.split(",")) for line in lines[:5]]
    return names.index(HEADER) if HEADER in names else None


def _draft(request: Request) -> Draft:
    lines = read_text(request.path, LARGEST_TABLE, "a CSV file of PruneMe").splitlines()
    start = header_line(lines)
    if start is None:
        raise UsageError(f"{request.path}: found no line `{','.join(HEADER)}`; expected it as header; for a table of "
                         "pair scores, use --from csv")  # fmt: skip
    if len(lines) > MOST_ROWS:
        raise UsageError(f"{request.path}: found more than {MOST_ROWS:,} lines; expected a distance for each block; "
                         "check the file")  # fmt: skip
    wrong = [f"{request.name}:{number}: `{one_line(line, 80)}`" for number, line in enumerate(lines[:start], 1)]
    runs: list[Run] = []
    for row in _rows(request, lines[start + 1 :], start + 2):
        if isinstance(row, str):
            wrong.append(row)
        else:
            runs.append(row)
    if not runs:
        raise UsageError(f"{request.path}: found no row with two blocks and a distance; expected some; check the file")
    return _of(request, runs, wrong)


def _rows(request: Request, lines: list[str], first: int) -> Iterator[Run | str]:
    count = block_count(request)
    for number, line in enumerate(lines, first):
        fields = [field.strip() for field in line.split(",")]
        if not any(fields):
            continue
        ends = [whole_number(field) for field in fields[:2]]
        start, end = ends if len(ends) == 2 else (None, None)
        sound = len(fields) == len(HEADER) and is_decimal(fields[2])
        if start is None or end is None or start >= end or not sound or end > (count or end):
            yield f"{request.name}:{number}: `{one_line(line, 80)}`"
        else:
            yield start, end, fields[2], number


def _of(request: Request, runs: list[Run], wrong: list[str]) -> Draft:
    # Of equal distances PruneMe takes the first.
    start, end, distance, line = min(runs, key=lambda run: (Decimal(run[2].replace("\u2212", "-")), run[3]))
    others = [f"{request.name}:{run[3]}: blocks {run[0]} to {run[1] - 1} at angular distance {run[2]}" for run in runs]
    remarks = [
        f"blocks {start} to {end - 1} have the least angular distance, {distance}; PruneMe names that run as the one "
        "to remove, and whether it was removed is for you to say",
        "an angular distance is none of the scores that `scores` holds, so the distances stand only here:",
        *others,
    ]
    removal = {
        "id": "least-angular-distance",
        "model": MODEL,
        "method": "angular distance (PruneMe)",
        "budget": end - start,
        "layers": list(range(start, end)),
        "selected_on": blank("the text that PruneMe ran on (its option --dataset)"),
        "contract": "evaluation",
        "perplexity": blank("perplexity after the removal, as it is printed"),
        "where": f"{request.name}, line {line}",
    }
    return Draft(
        origin=request.name,
        title=f"Published removal of {request.name}",
        source=blank("title of the paper, card or report that the file belongs to"),
        models={MODEL: model(None, block_count(request))},
        contracts={"evaluation": {"text": blank("the text that the perplexity was measured on")}},
        removals=[removal],
        remarks=remarks,
        not_understood=wrong,
    )


PRUNEME = Importer("pruneme", "layer_distances.csv of PruneMe", frozenset({"base", "blocks"}), _draft)

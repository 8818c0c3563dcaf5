"""How verify takes damaged and forged packs: many mutations, the exit codes they came to, and how long it took.

    python benchmarks/fuzz_packs.py 10000

Every outcome must be 0, 1 or 5, in our own words. Damage (the manifest stays) must be 5 and name the file. What was
forged (the manifest is mended) and still reproduces is listed, for a reader to see that nothing was changed there that
a figure rests on. Needs no torch and no model. Results are in benchmarks/README.md.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "support"))

import faulthandler

import pack_mutations as mutations
import sealed_run
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from checker.release.pack import FILES, MANIFEST


def main() -> None:
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    faulthandler.enable()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pack = sealed_run.sealed_small(folder / "whole")
        contents = {name: (pack.folder / name).read_bytes() for name in (*FILES, MANIFEST)}
        started, slowest, codes, unnoticed = time.monotonic(), 0.0, Counter[tuple[str, int]](), Counter[str]()

        @settings(max_examples=number, deadline=None, phases=[Phase.generate], database=None,
                  suppress_health_check=list(HealthCheck), derandomize=False)  # fmt: skip
        @given(st.data())
        def attempt(data: Any) -> None:
            nonlocal slowest
            kind, files = _mutated(data.draw, contents)
            begun = time.monotonic()
            found = mutations.outcome(mutations.put(folder / "mutated", files))
            slowest = max(slowest, time.monotonic() - begun)
            codes[kind, found.code] += 1
            if codes.total() % 500 == 0:
                print(f"{codes.total()} packs", file=sys.stderr)
            assert found.code in (0, 1, 5), found
            assert found.code == 0 or any(file in found.message for file in (*FILES, MANIFEST, "mutated")), found
            if found.code == 0:
                unnoticed[f"{kind}: {_changed(contents, files)}"] += 1

        attempt()
        _print(codes, unnoticed, time.monotonic() - started, slowest)


def _mutated(draw: Any, contents: mutations.Contents) -> tuple[str, mutations.Contents]:
    kind = draw(st.sampled_from([*mutations.DAMAGE, *mutations.FORGERY]))
    if kind in mutations.DAMAGE:
        return kind.__name__, kind(draw, contents)[0]
    files = kind(draw, contents)
    return kind.__name__, files if kind is mutations.misnamed else mutations.mended(files)


def _changed(before: mutations.Contents, after: mutations.Contents) -> str:
    """The first place where a file differs, with what stands around it."""
    for name in FILES:
        old, new = before[name], after[name]
        if old != new:
            place = next((n for n, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
            return f"{name} {old[max(0, place - 40) : place + 20]!r} -> {new[place : place + 30]!r}"
    return "nothing"


def _print(codes: Counter[tuple[str, int]], unnoticed: Counter[str], seconds: float, slowest: float) -> None:
    print(f"{sum(codes.values())} packs in {seconds:.0f} s, the slowest in {slowest:.1f} s")
    print("| mutation | exit 0 | exit 1 | exit 5 |\n|---|--:|--:|--:|")
    for kind in sorted({kind for kind, _ in codes}):
        print(f"| {kind} | " + " | ".join(str(codes[kind, code]) for code in (0, 1, 5)) + " |")
    print("reproduced all the same:")
    for place, times in unnoticed.most_common():
        print(f"{times:6} {place}")


if __name__ == "__main__":
    main()

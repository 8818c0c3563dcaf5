"""Whether timing a model against itself gives a ratio of 1 as often as the confidence says.

One small random model takes turns with itself, as `pruneaudit time` lets a model and a checkpoint take them, many times
over. The true ratio is 1, so an interval of 95 % should hold 1 in 95 % of the timings. It also takes turns with a copy
of itself, which lies elsewhere in memory: what that alone is worth, no interval covers. One table: for each phase and
number of pairs, how many timings gave an interval, the share of those that hold 1, with the 95 % interval of that share
(Wilson), how many lie below and above 1, the median half width, and the geometric mean of all ratios.

    python benchmarks/timing.py [timings] [blocks] [seconds at most]      # default: 200 timings, 4 blocks, 540 s
"""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Sequence
from math import exp, log, sqrt

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from checker.core import statistics
from checker.core.records import Statistics
from checker.core.statistics import Estimate
from checker.measure.environment import processor_name
from checker.measure.timing import Runner, Side, Turn, in_turns

KINDS = (("itself", 8), ("itself", 20), ("a copy", 20))  # what it takes turns with, and pairs of turns
PHASES = ("prefill", "decode")
TOKENS, PROMPT, NEW = 48, 16, 5


def main(timings: int, blocks: int, most: float) -> None:
    torch.set_num_threads(1)
    model, copy = runner(blocks), runner(blocks)
    found: dict[tuple[str, int, str], list[Estimate]] = {(*kind, phase): [] for kind in KINDS for phase in PHASES}
    begun, done = time.monotonic(), 0
    with torch.inference_mode():
        while done < timings and time.monotonic() - begun < most:
            for (other, pairs, phase), estimates in found.items():
                turns: dict[Side, Turn] = {
                    "model": turn(model, phase),
                    "checkpoint": turn(model if other == "itself" else copy, phase),
                }
                taken = in_turns(turns, pairs)
                estimates.append(statistics.geometric_mean_ratio(taken.model, taken.checkpoint, Statistics()))
            done += 1
    print(f"{processor_name()}, 1 thread, torch {torch.__version__}, {platform.system()}")
    print(f"{done} timings of each kind, a random Llama of {blocks} blocks, {time.monotonic() - begun:.0f} s")
    heads = (
        ("intervals", 11),
        ("hold 1", 9),
        ("of that share", 18),
        ("below", 7),
        ("above", 7),
        ("half", 8),
        ("mean", 8),
    )
    print(f"{'against':<9}{'phase':<9}{'pairs':>6}" + "".join(f"{head:>{width}}" for head, width in heads))
    for (other, pairs, phase), estimates in found.items():
        print(f"{other:<9}{phase:<9}{pairs:>6}{row(estimates)}")


def turn(runner: Runner, phase: str) -> Turn:
    return runner.prefill if phase == "prefill" else lambda: runner.decode(NEW)


def runner(blocks: int) -> Runner:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=512, hidden_size=128, intermediate_size=256, num_hidden_layers=blocks, num_attention_heads=4
    )
    model = LlamaForCausalLM(config).eval().requires_grad_(False)
    ids = torch.arange(TOKENS)[None] % 512
    return Runner(model, ids, ids[:, :PROMPT], time.perf_counter, {"logits_to_keep": 1})


def row(estimates: Sequence[Estimate]) -> str:
    ends = [estimate.interval for estimate in estimates if estimate.interval is not None]
    below, above = sum(high < 1.0 for _, high in ends), sum(low > 1.0 for low, _ in ends)
    held = len(ends) - below - above
    low, high = wilson(held, len(ends))
    widths = sorted((high / low) ** 0.5 - 1.0 for low, high in ends)
    mean = exp(sum(log(estimate.value) for estimate in estimates) / len(estimates))
    return (
        f"{len(ends):>11}{held / len(ends):>9.1%}{f'[{low:.1%}, {high:.1%}]':>18}{below:>7}{above:>7}"
        f"{widths[len(widths) // 2]:>8.1%}{mean:>8.3f}"
    )


def wilson(hits: int, trials: int) -> tuple[float, float]:
    """Wilson's score interval at 95 % of a share."""
    z, share = 1.959964, hits / trials
    centre, spread = share + z * z / (2 * trials), z * sqrt(share * (1 - share) / trials + (z / (2 * trials)) ** 2)
    return (centre - spread) / (1 + z * z / trials), (centre + spread) / (1 + z * z / trials)


if __name__ == "__main__":
    given = sys.argv[1:]
    main(*(int(given[place]) if len(given) > place else default for place, default in enumerate((200, 4, 540))))

"""How slow this processor is, by which limits on processor time are widened: a slow machine is no slow program."""

from __future__ import annotations

import time

_USUAL = 0.17  # seconds that the loop below takes on the machines that the limits were measured on


def slowness() -> float:
    """How many times as long as usual plain Python takes here, at least 1; the best of three."""
    return max(1.0, min(_loop() for _ in range(3)) / _USUAL)


def _loop() -> float:
    began = time.process_time()
    total = 0
    for number in range(2_000_000):
        total += number * number % 7
    assert total
    return time.process_time() - began

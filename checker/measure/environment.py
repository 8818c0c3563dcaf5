"""Where something was measured: versions, device, time and memory."""

from __future__ import annotations

import os
import platform
import resource
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
import transformers

from checker.core.timings import MachineFacts


def record(
    device: torch.device, attention: str | None, started: datetime, before: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The environment's record once a run is over; times of an earlier run of the same audit are added."""
    now = datetime.now(UTC)
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "platform": platform.platform(),
        "processor": processor_name(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "attention": attention or (before.get("attention") if before else None),
        "started": before["started"] if before else started.isoformat(timespec="seconds"),
        "finished": now.isoformat(timespec="seconds"),
        "seconds": round((before["seconds"] if before else 0.0) + (now - started).total_seconds(), 1),
        "peak_memory_bytes": max(peak_memory(), before["peak_memory_bytes"] if before else 0),
    }


def machine(device: torch.device) -> MachineFacts:
    """What a time that is taken here holds for."""
    return MachineFacts(
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        processor=processor_name(),
        threads=torch.get_num_threads(),
        torch=str(torch.__version__),
        transformers=transformers.__version__,
        platform=platform.platform(),
    )


def processor_name() -> str:
    """The processor's own name where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]} ({os.cpu_count()} cores)" if names else platform.machine()


def peak_memory() -> int:
    """The process's largest resident set so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024

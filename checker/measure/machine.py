"""What a machine has: packages, devices and their dtypes, processors, memory, disk; whether it may use the network.

Works without torch, and looks only. Nothing of the environment is ever repeated: it may hold tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil

DTYPES = ("float32", "bfloat16", "float16")
_GROUP = Path("/sys/fs/cgroup")
_UNLIMITED = 1 << 60  # bytes; what a control group without a limit may be said to have
Environment = Mapping[str, str]


@dataclass(frozen=True)
class Device:
    """A device and the dtypes that it multiplies matrices in."""

    name: str
    about: str
    dtypes: tuple[str, ...]
    free: int  # bytes


def installed(package: str) -> str | None:
    """The version of a package that can be imported, without importing it; None where there is none."""
    module = "markdown_it" if package == "markdown-it-py" else package
    if find_spec(module) is None:
        return None
    try:
        return version(package)
    except PackageNotFoundError:
        return "of unknown version"


def devices() -> tuple[Device, ...]:
    """The devices that torch sees; none without torch. Each dtype is tried, not looked up."""
    if find_spec("torch") is None:
        return ()
    import torch

    seen = [("cpu", "processor", free_memory())]
    for number in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        free, _ = torch.cuda.mem_get_info(number)
        seen.append((f"cuda:{number}", torch.cuda.get_device_name(number), free))
    if torch.backends.mps.is_available():
        seen.append(("mps", "Apple GPU", free_memory()))
    return tuple(Device(name, about, _computes(torch, name), free) for name, about, free in seen)


def _computes(torch: Any, device: str) -> tuple[str, ...]:
    computed = []
    for dtype in DTYPES:
        try:
            ones = torch.ones((8, 8), dtype=getattr(torch, dtype), device=device)
            if float((ones @ ones)[0, 0]) == 8.0:
                computed.append(dtype)
        except (RuntimeError, TypeError, NotImplementedError):  # what backends raise for what they cannot do
            continue
    return tuple(computed)


def cores() -> int:
    """Processors that this process may use."""
    process = psutil.Process()
    return len(process.cpu_affinity()) if hasattr(process, "cpu_affinity") else psutil.cpu_count() or 1


def total_memory() -> int:
    """Bytes of memory, or of the control group that this process is in."""
    total: int = psutil.virtual_memory().total
    return min(total, _group("memory.max") or total)


def free_memory() -> int:
    """Bytes of memory that can be had now, caches that give way included."""
    free: int = psutil.virtual_memory().available
    limit, used = _group("memory.max"), _group("memory.current")
    return free if limit is None or used is None else min(free, max(0, limit - used + _reclaimable()))


def free_disk(folder: Path) -> int:
    """Bytes free where a folder lies, or would lie."""
    here = folder.absolute()
    while not here.exists():
        here = here.parent
    free: int = psutil.disk_usage(str(here)).free
    return free


def _group(name: str) -> int | None:
    """A number of this process's control group, version 2 or 1; None where there is no limit."""
    older = {"memory.max": "memory.limit_in_bytes", "memory.current": "memory.usage_in_bytes"}
    for path in (_GROUP / name, _GROUP / "memory" / older[name]):
        with suppress(OSError, ValueError):  # not there, or "max"
            value = int(path.read_text(encoding="ascii"))
            return value if value < _UNLIMITED else None
    return None


def _reclaimable() -> int:
    """Bytes of files that the control group keeps in memory only because nobody needs the room."""
    for path in (_GROUP / "memory.stat", _GROUP / "memory" / "memory.stat"):
        with suppress(OSError, ValueError, KeyError):
            rows = dict(line.split() for line in path.read_text(encoding="ascii").splitlines())
            return int(rows["inactive_file"]) + int(rows["active_file"])
    return 0


def offline(environment: Environment) -> str | None:
    """The variable that forbids the network, as huggingface_hub reads it; None where none does."""
    names = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    return next((name for name in names if environment.get(name, "").upper() in ("1", "ON", "YES", "TRUE")), None)

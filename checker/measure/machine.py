"""What a machine has: packages, devices and their dtypes, processors, memory, disk, a way to the model hub.

Works without torch, and looks only. Nothing of the environment is ever repeated: it may hold tokens.
"""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

DTYPES = ("float32", "bfloat16", "float16")
_HUB = "https://huggingface.co"
_PATIENCE = 3.0  # seconds that the hub has to answer
_UNLIMITED = 1 << 60  # bytes; what a control group without a limit may be said to have
Environment = Mapping[str, str]


@dataclass(frozen=True)
class Device:
    """A device and the dtypes that it multiplies matrices in."""

    name: str
    about: str
    dtypes: tuple[str, ...]
    free: int | None  # bytes


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

    found = [("cpu", "processor", free_memory())]
    for number in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        free, _ = torch.cuda.mem_get_info(number)
        found.append((f"cuda:{number}", torch.cuda.get_device_name(number), free))
    if torch.backends.mps.is_available():
        found.append(("mps", "Apple GPU", free_memory()))
    return tuple(Device(name, about, _computes(torch, name), free) for name, about, free in found)


def _computes(torch: Any, device: str) -> tuple[str, ...]:
    able = []
    for dtype in DTYPES:
        try:
            ones = torch.ones((8, 8), dtype=getattr(torch, dtype), device=device)
            if float((ones @ ones)[0, 0]) == 8.0:
                able.append(dtype)
        except (RuntimeError, TypeError, NotImplementedError):  # what backends raise for what they cannot do
            continue
    return tuple(able)


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def total_memory() -> int | None:
    """Bytes of memory, or of the control group that this process is in; None where the system does not tell."""
    return _least(_pages("SC_PHYS_PAGES"), _group("memory.max"))


def free_memory() -> int | None:
    """Bytes of memory that can be had now, caches that give way included; None where the system does not tell."""
    limit, used = _group("memory.max"), _group("memory.current")
    left = None if limit is None or used is None else max(0, limit - used + (_reclaimable() or 0))
    return _least(_available(), left)


def _least(*values: int | None) -> int | None:
    return min((value for value in values if value is not None), default=None)


def _pages(name: str) -> int | None:
    try:
        return os.sysconf(name) * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def _available() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return _pages("SC_AVPHYS_PAGES")
    found = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(found[0]) * 1024 if found else _pages("SC_AVPHYS_PAGES")


def _group(name: str) -> int | None:
    """A number of this process's control group, version 2 or 1; None where there is no limit."""
    older = {"memory.max": "memory.limit_in_bytes", "memory.current": "memory.usage_in_bytes"}
    for path in (Path("/sys/fs/cgroup") / name, Path("/sys/fs/cgroup/memory") / older[name]):
        try:
            value = int(path.read_text(encoding="ascii"))
        except (OSError, ValueError):  # not there, or "max"
            continue
        return value if value < _UNLIMITED else None
    return None


def _reclaimable() -> int | None:
    """Bytes of files that the control group keeps in memory only because nobody needs the room."""
    for path in (Path("/sys/fs/cgroup/memory.stat"), Path("/sys/fs/cgroup/memory/memory.stat")):
        try:
            rows = dict(line.split() for line in path.read_text(encoding="ascii").splitlines())
            return int(rows["inactive_file"]) + int(rows["active_file"])
        except (OSError, ValueError, KeyError):
            continue
    return None


def free_disk(folder: Path) -> int:
    """Bytes free where a folder lies, or would lie."""
    here = folder.absolute()
    while not here.exists():
        here = here.parent
    return shutil.disk_usage(here).free


# --- the hub ---------------------------------------------------------------------------------------------------------


def offline(environment: Environment) -> str | None:
    """The variable that forbids the network, as huggingface_hub reads it; None where none does."""
    names = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    return next((name for name in names if environment.get(name, "").upper() in ("1", "ON", "YES", "TRUE")), None)


def hub(environment: Environment, patience: float = _PATIENCE) -> str:
    """Whether the model hub answers, in words; it is not asked where the environment forbids the network."""
    forbidden = offline(environment)
    if forbidden:
        return f"not asked, for {forbidden} is set"
    try:
        address = urlsplit(environment.get("HF_ENDPOINT") or _HUB)
        # Never the whole address: it may hold a password.
        host, port = address.hostname or "", f":{address.port}" if address.port else ""
    except ValueError:
        return "not reachable: HF_ENDPOINT is not an address"
    if address.scheme not in ("http", "https") or not host:
        return "not reachable: HF_ENDPOINT is not an address"
    place = urllib.request.Request(f"{address.scheme}://{host}{port}/", method="HEAD")
    try:
        with urllib.request.urlopen(place, timeout=patience):
            return f"{host} answers"
    except urllib.error.HTTPError as error:
        return f"{host} answers" if error.code < 500 else f"{host} is not reachable: it answers {error.code}"
    except (OSError, HTTPException) as error:
        return f"{host} is not reachable: {_reason(error)}"


def _reason(error: Exception) -> str:
    """Why the network failed, without any text that may repeat an address."""
    inner = getattr(error, "reason", error)
    if isinstance(inner, TimeoutError):
        return "no answer in time"
    if isinstance(inner, socket.gaierror):
        return "its name is not known here"
    if isinstance(inner, ssl.SSLError):
        return "its certificate is not accepted, or the encryption failed"
    if isinstance(inner, OSError) and inner.errno is not None:
        return os.strerror(inner.errno).lower()
    return "no answer that is understood"

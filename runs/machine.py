"""What this machine has: memory and disk that are free, processor, threads, and the versions a run was made with."""

from __future__ import annotations

import contextlib
import functools
import os
import platform
import resource
import shutil
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

_CGROUP = Path("/sys/fs/cgroup")
# psutil derives the creation time from the clock of the machine, which may be set a little in between.
_SAME_TIME_SECONDS = 2.0
# Beside one busy program a step of a tiny model takes 92 ms so, and 440 ms with libgomp's own 300,000; alone on the
# machine 45 and 41 ms (python -m benchmarks.thread_waiting).
_SPINS = "1000"
_PACKAGES = ("torch", "numpy", "einops", "safetensors", "tiktoken", "sentencepiece", "streamlit")


def available_memory_bytes(cgroup: Path = _CGROUP) -> int:
    """Memory that a new process can take without swapping, container limit included."""
    available = int(psutil.virtual_memory().available)
    try:
        limit = int((cgroup / "memory.max").read_text())
        used = int((cgroup / "memory.current").read_text())
        statistics = dict(line.split() for line in (cgroup / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):  # no cgroup, or the limit is the word "max"
        return available
    # File cache counts as used although the kernel gives it back at once.
    return max(0, min(available, limit - used + int(statistics.get("inactive_file", 0))))


def peak_memory_bytes() -> int:
    """The most memory that this process has held so far.

    Not what `getrusage` says on Linux: a new program inherits there the peak of the process that started it.
    """
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration):  # not Linux
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else 1024 * peak


def share_cores() -> None:
    """Let torch's threads sleep soon when they wait for one another; to be called before torch is imported.

    Otherwise they spin, and where a browser or another run wants a core, they keep it from the very thread they wait
    for. Read by libgomp, the OpenMP of torch on Linux; who sets GOMP_SPINCOUNT or OMP_WAIT_POLICY knows better.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", _SPINS)


def find_process(pid: int, created: float) -> psutil.Process | None:
    """The live process `pid` that was created at that time, or None: a pid alone may belong to another one by now.

    A zombie, dead and not yet asked for its status by its parent, counts as dead.
    """
    try:
        process = psutil.Process(pid)
        same = abs(process.create_time() - created) <= _SAME_TIME_SECONDS
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except (psutil.Error, ValueError, OverflowError):
        return None


def has_gpu() -> bool:
    """Whether an NVIDIA device is there, asked without torch. Apple's GPUs share the computer's own memory."""
    return any(Path("/dev").glob("nvidia[0-9]*"))


def prefer_to_die_first() -> None:
    """When memory runs out, Linux should take this process, a worker whose work is saved, and not the page's server."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # some containers forbid it
            Path("/proc/self/oom_score_adj").write_text("500")


def free_disk_bytes(folder: Path) -> int:
    """Free bytes on the file system that holds `folder`, which need not be the one of the program."""
    return shutil.disk_usage(folder).free


@functools.cache
def processor_name() -> str:
    """The processor as its maker calls it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:  # not Linux
        pass
    return platform.processor() or platform.machine() or "unknown"


def processor_threads() -> int:
    """Hardware threads this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@functools.cache
def package_versions() -> dict[str, str]:
    """Versions of what computes and stores a run, read from the installed metadata without importing anything."""
    versions = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return versions


def describe() -> dict[str, Any]:
    """The part of origin.json that the machine knows."""
    return {
        "versions": package_versions(),
        "platform": platform.platform(),
        "processor": processor_name(),
        "processor_threads": processor_threads(),
        "memory_bytes": int(psutil.virtual_memory().total),
    }

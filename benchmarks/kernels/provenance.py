"""What a figure depends on, without a word about whose machine it is."""

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

PACKAGES = ("torch", "triton", "xformers", "numpy")
# What the driver tells of a card, read and never set.
CARD = (
    "name",
    "driver_version",
    "clocks.sm",
    "clocks.max.sm",
    "clocks.mem",
    "power.draw",
    "power.limit",
    "temperature.gpu",
)


def commit() -> dict[str, Any]:
    """The commit of this source tree; None where there is none."""
    # A result file is not code: it changes nothing of what is measured.
    status = _git("status", "--porcelain", "--", ":/", ":(top,exclude)benchmarks/results")
    return {
        "commit": _git("rev-parse", "HEAD"),
        "dirty": None if status is None else bool(status),
    }


def versions() -> dict[str, str | None]:
    """Versions of what computes, None where it is not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found


def processor() -> str:
    """The name of the CPU."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.machine()


def environment(device: torch.device) -> dict[str, Any]:
    """Device, versions and commit of a run."""
    return {
        "device_type": device.type,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else processor(),
        "gpu": _gpu(device) if device.type == "cuda" else None,
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "load_average": os.getloadavg()[0],
        "versions": versions(),
        "cuda": torch.version.cuda,
        **commit(),
    }


def card() -> dict[str, str]:
    """What the driver tells of the first card now, or why it tells nothing."""
    command = ["nvidia-smi", f"--query-gpu={','.join(CARD)}", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        return {"unreadable": f"{type(error).__name__}: {error}"}
    values = done.stdout.splitlines()[0].split(", ")
    return dict(zip(CARD, values, strict=False))


def _gpu(device: torch.device) -> dict[str, Any]:
    properties = torch.cuda.get_device_properties(device)
    return {
        "name": properties.name,
        "capability": f"{properties.major}.{properties.minor}",
        "memory_bytes": properties.total_memory,
        "multiprocessors": properties.multi_processor_count,
        "l2_bytes": getattr(properties, "L2_cache_size", None),
        "driver_says": card(),
    }


def _git(*arguments: str) -> str | None:
    command = ["git", "-C", str(Path(__file__).parent), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None

"""The peak of memory, on the device where there is one, else of the process, and what is free."""

import resource
import sys

import torch


def reset_peak() -> None:
    """Start a new peak on every CUDA device. The peak of a process cannot be reset."""
    for device in range(torch.cuda.device_count()):
        torch.cuda.reset_peak_memory_stats(device)


def peak_bytes() -> int:
    """Peak bytes: allocated on CUDA devices since ``reset_peak``, else resident in the process."""
    if torch.cuda.is_available():
        return sum(torch.cuda.max_memory_allocated(i) for i in range(torch.cuda.device_count()))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def free_bytes(device: torch.device) -> int | None:
    """Bytes that can still be had on a device; None where nobody knows, as on a CPU.

    What torch holds in reserve counts as free: it is given to whoever asks next.
    """
    if device.type != "cuda":
        return None
    unclaimed, _ = torch.cuda.mem_get_info(device)
    reserved = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return unclaimed + reserved

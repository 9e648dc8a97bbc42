"""Runs providers side by side: error, peak memory and kernels of each, then times in turns."""

import statistics
import time
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from benchmarks.kernels.bench import Row, free_memory, reason, synchronize
from benchmarks.kernels.rivals import Call, Provider
from numina_kernels.timing import take_turns

# Error and budget of an output of this provider.
Judge = Callable[[Provider, Tensor], tuple[float, float]]


def compare(
    providers: Iterable[Provider],
    judge: Judge,
    device: torch.device,
    *,
    repeats: int,
    seconds: float,
) -> list[Row]:
    """One row for each provider; one that is absent or fails is a row with its reason.

    Args:
        providers: What is compared.
        judge: Tells error and budget.
        device: Where they work.
        repeats: Most samples of each.
        seconds: No further round of samples is begun after that; one always is.
    """
    end = time.monotonic() + seconds
    rows, calls = [], {}
    for provider in providers:
        row: Row = {"name": provider.name, "bias": provider.bias, "result": provider.result}
        row |= {"note": provider.note, "least_bytes": provider.least_bytes}
        rows.append(row)
        try:
            calls[provider.name] = looked_at(provider, judge, device, row)
        except ImportError as error:
            row |= {"status": "absent", "reason": reason(error)}
        # A rival may fail in any way it likes; that it did is a result.
        except Exception as error:
            row |= {"status": "failed", "reason": reason(error)}
        free_memory(device)
    left = max(0.0, end - time.monotonic())
    samples = take_turns(calls, device, repeats=repeats, seconds=left)
    for row in rows:
        if row["name"] in samples:
            taken = samples[row["name"]]
            row |= {"seconds": taken, "median_seconds": statistics.median(taken)}
    return rows


def looked_at(provider: Provider, judge: Judge, device: torch.device, row: Row) -> Call:
    """Run a provider three times before it is timed: once to compile, for memory, for kernels."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call = provider.build()
        output = call()
        synchronize(device)
    row["warnings"] = sorted({str(warning.message).splitlines()[0] for warning in caught})
    output = output if isinstance(output, Tensor) else output[0]
    error, budget = judge(provider, output)
    row |= {"max_error": error, "budget": budget, "right": error <= budget}
    del output
    row["peak_bytes"] = _peak(call, device)
    row["kernels"] = kernels_of(call, device)
    row["status"] = "ran"
    return call


def _peak(call: Call, device: torch.device) -> int | None:
    """Bytes that a call needs beyond its inputs, its output included; None on a CPU."""
    if device.type != "cuda":
        return None
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    result = call()
    torch.cuda.synchronize(device)
    peak = torch.cuda.max_memory_allocated(device) - before
    del result
    return peak


def kernels_of(call: Call, device: torch.device) -> list[str] | str:
    """Kernels that ran, in order of first appearance; on a CPU operators. Or why it is unknown."""
    on_gpu = device.type == "cuda"
    try:
        with profile(
            activities=[ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU]
        ) as seen:
            call()
            synchronize(device)
        wanted = torch.autograd.DeviceType.CUDA if on_gpu else torch.autograd.DeviceType.CPU
        names: Iterable[Any] = (e.name for e in seen.events() if e.device_type == wanted)
        return list(dict.fromkeys(names))
    except RuntimeError as error:
        return f"unreadable: {reason(error)}"

"""Seconds of calls that take turns, so that what disturbs the machine disturbs all of them.

On a GPU a call is timed by events on the device, with its L2 cache overwritten before. That takes
longer than Python needs for the call, so a short kernel is not timed together with the wait for its
launch. On a CPU the clock of the process is read, and nothing is flushed.
"""

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

# Writing 1 GiB takes a card of 3 TB/s 360 microseconds, longer than a call takes Python. It is also
# many times the L2 cache of any card.
FLUSHED_BYTES = 1 << 30
# A card with little memory gives up at most this share of what is free.
FLUSHED_SHARE = 8


def take_turns(
    calls: Mapping[str, Callable[[], Any]],
    device: torch.device | str,
    *,
    repeats: int,
    seconds: float = math.inf,
) -> dict[str, list[float]]:
    """Time all calls once, then all again: every sample, in the order it was taken.

    Args:
        calls: What is timed; each should have run before, so that nothing is compiled here.
        device: Where the calls work.
        repeats: Rounds, at least 1.
        seconds: No further round is begun once so many seconds have passed.

    Returns:
        Seconds of every call, one for each round.
    """
    device = torch.device(device)
    one_round = _device_round(device) if device.type == "cuda" else _clock_round
    samples: dict[str, list[float]] = {name: [] for name in calls}
    end = time.monotonic() + seconds
    for done in range(repeats):
        if done and time.monotonic() > end:
            break
        for name, taken in one_round(calls).items():
            samples[name].append(taken)
    return samples


def _clock_round(calls: Mapping[str, Callable[[], Any]]) -> dict[str, float]:
    taken = {}
    for name, call in calls.items():
        start = time.perf_counter()
        call()
        taken[name] = time.perf_counter() - start
    return taken


def _device_round(
    device: torch.device,
) -> Callable[[Mapping[str, Callable[[], Any]]], dict[str, float]]:
    flushed = _flushed(device)

    def one_round(calls: Mapping[str, Callable[[], Any]]) -> dict[str, float]:
        events = {}
        with torch.cuda.device(device):
            for name, call in calls.items():
                start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
                flushed.zero_()
                start.record()
                call()
                end.record()
                events[name] = start, end
            torch.cuda.synchronize()
        return {name: start.elapsed_time(end) / 1e3 for name, (start, end) in events.items()}

    return one_round


def _flushed(device: torch.device) -> Tensor:
    free, _ = torch.cuda.mem_get_info(device)
    size = min(FLUSHED_BYTES, free // FLUSHED_SHARE)
    return torch.empty(size, dtype=torch.int8, device=device)

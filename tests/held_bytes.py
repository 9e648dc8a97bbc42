"""How many bytes a call holds at once, as torch's own allocator on the CPU counts them."""

from collections.abc import Callable
from typing import Any

from torch.profiler import ProfilerActivity, profile


def most_held(call: Callable[[], Any]) -> int:
    """Most bytes that were alive at once of what a call allocated, temporaries of torch included.

    The result is alive to the end.
    """
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        result = call()
    events = profiler.profiler.kineto_results.events()  # type: ignore[union-attr]
    changes = sorted(
        ((event.start_ns(), event.nbytes()) for event in events if event.name() == "[memory]"),
        key=lambda change: change[0],
    )
    del result
    held = most = 0
    for _, change in changes:
        held += change
        most = max(most, held)
    return most

"""Two processes that compute together, as two devices would: gloo on the CPU, started and ended."""

import multiprocessing
import time
import traceback
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import distributed

RANKS = 2
# Imported once, before the ranks are forked. Nothing of ours: the server does not know our paths.
_PRELOADED = ["torch.distributed.device_mesh", "diffusers.pipelines.wan", "sklearn.cluster"]


def on_two_ranks(work: Callable[[int], Any], folder: Path, seconds: float) -> list[Any]:
    """What ``work(rank)`` returns on each rank. A function of a module, for it is pickled.

    Args:
        work: Runs on both ranks, within one process group.
        folder: An empty folder, where the ranks find each other and leave what they return.
        seconds: How long all of it may take; a rank that waits for longer is killed.

    Raises:
        AssertionError: If a rank fails or is killed, with what it said.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    ranks = [
        context.Process(target=_rank, args=(work, rank, folder, seconds), daemon=True)
        for rank in range(RANKS)
    ]
    for process in ranks:
        process.start()
    deadline = time.monotonic() + seconds
    for process in ranks:
        process.join(max(0.0, deadline - time.monotonic()))
    late = [rank for rank, process in enumerate(ranks) if process.is_alive()]
    for process in ranks:
        process.kill()
        process.join()
    said = "".join(path.read_text() for path in sorted(folder.glob("failed-*")))
    assert not said, said
    assert not late, f"ranks {late} were killed after {seconds} s"
    return [torch.load(folder / f"result-{rank}", weights_only=False) for rank in range(RANKS)]


def _rank(work: Callable[[int], Any], rank: int, folder: Path, seconds: float) -> None:
    torch.set_num_threads(1)
    # Without an accelerator there is no device to be the one of this rank.
    torch.accelerator.device_count = lambda: RANKS
    try:
        # A file instead of a port: no port can be taken by somebody else in between.
        distributed.init_process_group(
            "gloo",
            init_method=f"file://{folder}/meeting",
            rank=rank,
            world_size=RANKS,
            timeout=timedelta(seconds=seconds / 2),
        )
        torch.save(work(rank), folder / f"result-{rank}")
    except BaseException:
        (folder / f"failed-{rank}").write_text(f"rank {rank}: {traceback.format_exc()}")
        raise
    finally:
        if distributed.is_initialized():
            distributed.destroy_process_group()

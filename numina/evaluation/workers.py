"""Jobs run here or spread over processes, whose results stream back one by one."""

import multiprocessing
import signal
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol

import torch

from numina.evaluation.failure import EvaluationError


class Work(Protocol):
    """What each process does."""

    def prepare(self) -> None:
        """Called once in the process."""
        ...

    def run(self, job: Any) -> Iterator[Any]:
        """Results of a job, none of them None."""
        ...


@dataclass(frozen=True)
class _Crash:
    trace: str


def spread(work: Work, jobs: Iterable[Any], workers: int) -> Iterator[Any]:
    """Run jobs here, or in several processes; yields their results, and None after every job.

    A job is taken when a process is free for it, and nothing is loaded where there is none.

    Raises:
        EvaluationError: If a process fails or dies.
    """
    left = iter(jobs)
    if workers > 1:
        yield from _in_processes(work, left, workers)
        return
    with one_thread():
        for number, job in enumerate(left):
            if number == 0:
                work.prepare()
            yield from work.run(job)
            yield None


def _in_processes(work: Work, left: Iterator[Any], workers: int) -> Iterator[Any]:
    """Run jobs in fresh processes.

    A process ends with its parent: it finds its pipe closed when it has something to tell.
    """
    context = multiprocessing.get_context("spawn")
    processes: dict[Connection, Any] = {}
    try:
        for job in islice(left, workers):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(work, theirs), daemon=True)
            process.start()
            theirs.close()
            processes[ours] = process
            ours.send(job)
        busy = dict(processes)
        while busy:
            for ready in wait(list(busy)):
                assert isinstance(ready, Connection)
                try:
                    item = ready.recv()
                except EOFError:
                    busy[ready].join()
                    raise EvaluationError(
                        f"a worker died with exit code {busy[ready].exitcode}; memory may have run "
                        "out, try fewer workers"
                    ) from None
                if isinstance(item, _Crash):
                    raise EvaluationError(f"a worker failed:\n{item.trace}")
                yield item
                if item is None:
                    job = next(left, None)
                    ready.send(job)
                    if job is None:
                        del busy[ready]
    finally:
        for connection, process in processes.items():
            connection.close()
            if process.exitcode is None:
                process.terminate()
            process.join()


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute with a single thread, as every process does, so that the bits are the same."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _serve(work: Work, connection: Connection) -> None:
    # Ctrl-C reaches the whole group; the parent decides what becomes of us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        work.prepare()
        while (job := connection.recv()) is not None:
            for item in work.run(job):
                connection.send(item)
            connection.send(None)
    except (EOFError, BrokenPipeError):
        return
    except Exception:
        connection.send(_Crash(traceback.format_exc()))

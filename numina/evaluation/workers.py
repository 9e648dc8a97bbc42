"""Jobs spread over processes whose results stream back one by one."""

import multiprocessing
import signal
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
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


def in_processes(work: Work, jobs: Sequence[Any], workers: int) -> Iterator[Any]:
    """Run jobs in fresh processes; yields their results as they come, and None after every job.

    A process ends with its parent: it finds its pipe closed when it has something to tell.

    Raises:
        EvaluationError: If a process fails or dies.
    """
    context = multiprocessing.get_context("spawn")
    left = iter(jobs)
    processes: dict[Connection, Any] = {}
    try:
        for _ in range(workers):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(work, theirs), daemon=True)
            process.start()
            theirs.close()
            processes[ours] = process
            ours.send(next(left, None))
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

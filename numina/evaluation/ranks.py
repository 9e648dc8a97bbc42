"""The processes that ``torchrun`` or ``accelerate launch`` started for one evaluation."""

import json
import os
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any, TypeVar

import torch

T = TypeVar("T")

# The launcher ends all ranks when one fails, so that whoever waits need not give up before.
_PATIENCE = timedelta(days=14)


class Ranks:
    """This process among those of the launcher, for the length of one evaluation.

    They talk through the launcher's key-value store alone, and need no process group: nothing is
    computed together, so no backend must fit the device.

    Args:
        store: A ``torch.distributed.Store``.
        rank: Of this process; rank 0 leads.
        number: How many there are.
    """

    def __init__(self, store: Any, rank: int, number: int) -> None:
        self._store = store
        self.rank = rank
        self.number = number

    @classmethod
    def joined(cls) -> "Ranks | None":
        """The ranks that a launcher's environment speaks of; None where there is but one.

        Of several GPUs, each rank takes that of its own number on its machine.
        """
        if int(os.environ.get("WORLD_SIZE", "1")) == 1:
            return None
        from torch.distributed import rendezvous

        store, rank, number = next(rendezvous("env://"))
        store.set_timeout(_PATIENCE)
        if torch.cuda.is_available():
            local = int(os.environ.get("LOCAL_RANK", rank))
            torch.cuda.set_device(local % torch.cuda.device_count())
        return cls(store, rank, number)

    @property
    def leads(self) -> bool:
        """Whether this is the rank that decides what is to be done, and writes the summary."""
        return self.rank == 0

    def share(self, jobs: Sequence[T]) -> Iterator[T]:
        """The jobs that fall to this rank, each taken when it is asked for and by one rank only.

        Args:
            jobs: The same in every rank.
        """
        while (index := self._store.add("taken", 1) - 1) < len(jobs):
            yield jobs[index]

    def finished(self) -> int:
        """Count one more job as finished; how many all ranks have finished so far."""
        return int(self._store.add("finished", 1))

    def tell(self, what: str, value: Any) -> None:
        """Leave a plain JSON value for the other ranks."""
        self._store.set(what, json.dumps(value))

    def hear(self, what: str) -> Any:
        """The value that some rank has left, or leaves while we wait."""
        return json.loads(self._store.get(what))

"""Which patches of a video this process attends from: all, or a slice beside other ranks."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor, distributed

from numina.errors import RanksDisagreeError, UnsupportedParallelismError

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup


class Share(Protocol):
    """The patches of a video that this process attends from, and how it learns of the others.

    Under context parallelism every rank runs the same code on a slice of the patches. What is
    decided about the video must be decided from numbers of the whole, and from the same ones on
    every rank: a rank that stops or guides alone leaves the others waiting for it.
    """

    def own(self, whole: Tensor) -> Tensor:
        """The part ``[..., S]`` of a map over all patches, ``[..., Q]``, that is held here."""
        ...

    def whole(self, part: Tensor, dim: int) -> Tensor:
        """What all ranks hold, in the order of the patches.

        Args:
            part: What is held here; ``S`` patches along ``dim``.
            dim: The dimension of patches.

        Returns:
            The same on every rank, with ``Q`` patches along ``dim``.

        Raises:
            UnsupportedParallelismError: If ``part`` is of another number of patches.
        """
        ...

    def at(self, part: Tensor, rows: Tensor, patches: Tensor) -> Tensor:
        """A few patches of the whole video, whoever holds them: ``whole[rows, patches]``.

        Args:
            part: What is held here, ``[B, S, ...]``.
            rows: Rows of the batch, int64; broadcast to ``patches``.
            patches: Patches of the video, 0 to ``Q - 1``, int64.

        Returns:
            ``[*patches.shape, ...]``, the same on every rank.
        """
        ...

    def require_same(self, *tensors: Tensor) -> None:
        """Refuse to go on where ranks hold other values of what each of them holds whole.

        Raises:
            RanksDisagreeError: On every rank, if they differ in a bit.
        """
        ...


@dataclass(frozen=True)
class AllPatches:
    """This process holds the whole video; nothing is sent anywhere."""

    def own(self, whole: Tensor) -> Tensor:
        return whole

    def whole(self, part: Tensor, dim: int) -> Tensor:
        return part

    def at(self, part: Tensor, rows: Tensor, patches: Tensor) -> Tensor:
        return part[rows, patches]

    def require_same(self, *tensors: Tensor) -> None:
        return None


@dataclass(frozen=True)
class PatchSlice:
    """This rank holds patches ``start`` to ``start + size - 1`` of ``total``.

    Every rank adds what it holds to zeros in the place of all else, so a sum over the ranks is
    exact: each value is one number plus zeros.

    Attributes:
        start: The first patch, frame-major.
        size: How many there are.
        total: Patches of the whole video.
        group: The ranks that hold the others.
    """

    start: int
    size: int
    total: int
    group: ProcessGroup

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.start + self.size <= self.total:
            raise ValueError(
                f"a slice must lie within the video, got {self.size} patches from {self.start} on "
                f"of {self.total}"
            )

    @classmethod
    def of_this_rank(cls, total: int, group: ProcessGroup) -> PatchSlice:
        """The slice of this rank where ``total`` patches are split as evenly as can be.

        As ``torch.tensor_split`` does it, the first ranks hold one patch more where there is a
        remainder.
        """
        rank, ranks = distributed.get_rank(group), distributed.get_world_size(group)
        least, longer = divmod(total, ranks)
        return cls(rank * least + min(rank, longer), least + (rank < longer), total, group)

    def own(self, whole: Tensor) -> Tensor:
        return whole[..., self.start : self.start + self.size]

    def whole(self, part: Tensor, dim: int) -> Tensor:
        if part.shape[dim] != self.size:
            raise UnsupportedParallelismError(
                f"this rank attends from {part.shape[dim]} patches where its slice of {self.total} "
                f"is {self.size}; split the transformer by its own plan, without cp_plan="
            )
        shape = list(part.shape)
        shape[dim] = self.total
        filled = part.new_zeros(shape)
        filled.narrow(dim, self.start, self.size).copy_(part)
        return self._summed(filled)

    def at(self, part: Tensor, rows: Tensor, patches: Tensor) -> Tensor:
        place = patches - self.start
        is_here = (place >= 0) & (place < self.size)
        found = part[rows, place.clamp(0, self.size - 1)]
        is_here = is_here.reshape(*is_here.shape, *[1] * (found.ndim - is_here.ndim))
        return self._summed(torch.where(is_here, found, torch.zeros_like(found)))

    def require_same(self, *tensors: Tensor) -> None:
        digest = hashlib.blake2b(digest_size=7)
        for tensor in tensors:
            digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
        number = int.from_bytes(digest.digest())
        # The smallest of all, and the largest with its sign changed: one message for both.
        ends = torch.tensor([number, -number], device=tensors[0].device)
        distributed.all_reduce(ends, distributed.ReduceOp.MIN, group=self.group)
        smallest, negated_largest = ends.tolist()
        if smallest != -negated_largest:
            raise RanksDisagreeError(
                "the ranks of this split transformer make different videos, so they could not "
                "agree on what to correct; give every rank the same arguments, and a generator of "
                "the same seed"
            )

    def _summed(self, tensor: Tensor) -> Tensor:
        distributed.all_reduce(tensor, group=self.group)
        return tensor

"""Zero-padded text folds into one key, exactly.

Text encoders pad the prompt to a fixed length, and models such as Wan attend to the padding. All
padded rows are equal, so all padded keys have one score s and one value v, and together they
weigh ``(K - n) exp(s) = exp(s + log(K - n))``: the same as one key whose score is raised by
``log(K - n)``. Attention over 512 keys becomes attention over the few that say something.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .errors import LayoutError, ShapeError


@dataclass(frozen=True, eq=False)
class FoldedKeys:
    """Keys and values with the common padding folded into the last one.

    Attributes:
        key: ``[B, K', H, D]``, a view of the key that was folded.
        value: ``[B, K', H, D]``, a view of the value that was folded.
        key_offset: Added to the scaled scores, ``[B|1, K']`` float32, in nats: zero but for the
            last key, or a mask. None where there was nothing to fold or to mask.
    """

    key: Tensor
    value: Tensor
    key_offset: Tensor | None


def find_padding(context: Tensor) -> tuple[int, ...]:
    """Count the real tokens of each batch row.

    Padding is a run of at least two equal rows at the end: zero rows as Wan's text encoder leaves
    them, or any other constant. Reads the values, so call it once per prompt.

    Args:
        context: Text embedding before it meets any position, ``[B, K, C]``.

    Returns:
        Number of rows before the padding, for each batch row; ``K`` where there is none.

    Raises:
        ShapeError: If ``context`` is not ``[B, K, C]``.
    """
    if context.ndim != 3:
        raise ShapeError(f"context must be [B, K, C], got {tuple(context.shape)}")
    keys = context.shape[1]
    equal = (context == context[:, -1:]).all(dim=-1)  # [B, K]
    runs = equal.flip(1).int().cumprod(dim=1).sum(dim=1).tolist()
    return tuple(keys - run if run > 1 else keys for run in runs)


def fold_padding(key: Tensor, value: Tensor, lengths: int | Sequence[int]) -> FoldedKeys:
    """Replace the padding that all batch rows share by one key with an offset.

    ``softmax(Q K^T)`` over ``K`` keys of which the last ``K - n`` are equal is the softmax over
    ``n + 1`` keys with ``log(K - n)`` added to the last score. Where the rows of a batch have
    different lengths, ``n`` is the longest: a shorter row keeps some copies of its padding, and
    the offset is the same for all. Exact as long as the padded rows of ``key`` and of ``value``
    are equal, which holds for what maps each token on its own (linear layers, norms).

    Args:
        key: ``[B, K, H, D]``.
        value: ``[B, K, H, D]``.
        lengths: Real tokens of each batch row, or one number for all.

    Returns:
        The shorter key and value, and the offset to pass to the operation.

    Raises:
        ShapeError: If ``key`` and ``value`` are not ``[B, K, H, D]``.
        LayoutError: If ``lengths`` does not fit them.
    """
    if key.ndim != 4 or key.shape[:3] != value.shape[:3]:
        raise ShapeError(
            f"key and value must be [B, K, H, D], got {tuple(key.shape)} and {tuple(value.shape)}"
        )
    batch, keys = key.shape[:2]
    lengths = (lengths,) if isinstance(lengths, int) else tuple(lengths)
    if len(lengths) not in (1, batch):
        raise LayoutError(f"lengths must name 1 or {batch} rows, got {len(lengths)}")

    kept = folded_length(lengths, keys)
    if kept == keys:
        return FoldedKeys(key, value, None)
    offset = torch.zeros(1, kept, dtype=torch.float32, device=key.device)
    offset[:, -1] = math.log(keys - kept + 1)
    return FoldedKeys(key[:, :kept], value[:, :kept], offset)


def folded_length(lengths: Sequence[int], keys: int) -> int:
    """Number of keys that are left of ``keys`` once the shared padding is folded."""
    if not all(0 <= length <= keys for length in lengths):
        raise LayoutError(f"lengths must be 0..{keys}, got {list(lengths)}")
    return min(max(lengths, default=keys) + 1, keys)

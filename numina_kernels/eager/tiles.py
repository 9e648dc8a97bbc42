"""Tiles of scores: a few heads and a few queries against all keys, in one reused buffer.

Scores lie keys first, ``[B * H, K, T]``, so that maxima and sums over the keys are vector
operations over neighbouring queries, and the column of a noun is a contiguous row: for 20 keys
that is half the time of the usual order. They are in units of ``ln 2``, because ``exp2`` costs a
third of ``exp`` (0.28 and 0.81 ns a score on an EPYC core).
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from .column_bias import ColumnBias
from .units import LN2, LOG2E

# Bytes of scores alive at once. On a CPU they should stay in its cache: for [8, 768, 4, 32] against
# 512 keys 2 MiB took 0.8 of the time of 8 MiB and 0.6 of that of 64 MiB. Elsewhere a tile should be
# long enough to be worth its launches.
SCORE_BYTES = {"cpu": 2 << 20}
SCORE_BYTES_ELSEWHERE = 64 << 20
# A matrix product with fewer queries than this wastes the cores, so heads are split first.
MIN_QUERIES = 64
# The finite pivot of a query without a key.
LOWEST = torch.finfo(torch.float32).min


def head_chunks(query: Tensor, keys: int) -> Iterator[slice]:
    """Runs of heads whose scores against ``keys`` keys fit a tile of ``MIN_QUERIES`` queries."""
    batch, queries, heads, _ = query.shape
    yield from _runs(heads, _budget(query) // (batch * keys * min(queries, MIN_QUERIES)))


def query_chunks(query: Tensor, keys: int) -> Iterator[slice]:
    """Runs of queries whose scores against ``keys`` keys fit a tile of all heads given."""
    batch, queries, heads, _ = query.shape
    yield from _runs(queries, _budget(query) // (batch * keys * heads))


def score_tiles(
    query: Tensor,
    key: Tensor,
    scale: float,
    key_offset: Tensor | None = None,
    bias: ColumnBias | None = None,
) -> Iterator[tuple[slice, Tensor]]:
    """Walk over the queries.

    Yields:
        The queries of a tile and their scores ``[B * H, K, T]`` in units of ``ln 2``, offset and
        bias included. The next tile overwrites them.
    """
    batch, _, heads, _ = query.shape
    keys = key.shape[1]
    dtype = torch.promote_types(query.dtype, torch.float32)
    # Scaling the few keys is cheaper than scaling the scores.
    scaled_key = heads_first(key, dtype) * (scale * LOG2E)  # [B * H, K, D]
    offset = None if key_offset is None else (key_offset.to(dtype) * LOG2E)[:, None, :, None]
    buffer = None
    for rows in query_chunks(query, keys):
        tile = heads_first(query[:, rows], dtype)  # [B * H, T, D]
        shape = (batch * heads, keys, tile.shape[1])
        buffer = tile.new_empty(math.prod(shape)) if buffer is None else buffer
        scores = buffer[: math.prod(shape)].view(shape)
        torch.bmm(scaled_key, tile.mT, out=scores)
        by_batch = scores.unflatten(0, (batch, heads))
        if offset is not None:
            by_batch += offset
        if bias is not None:
            bias.apply_(by_batch, rows)
        yield rows, scores


def exponentiate_(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Replace scores ``[..., K, T]`` by their exponentials, too large by a factor for each query.

    Returns:
        The log-sum-exp in nats and the factor, both ``[..., 1, T]``.
    """
    # A finite pivot turns a column of -inf into zeros instead of NaN.
    pivot = scores.amax(dim=-2, keepdim=True).clamp_min_(LOWEST)
    total = scores.sub_(pivot).exp2_().sum(dim=-2, keepdim=True)
    lse = total.log2().add_(pivot).mul_(LN2)
    # The largest term of a query that has a key is 1, so only the others are below.
    return lse, total.clamp_min_(1.0)


def exponentiate_from_(scores: Tensor, lse: Tensor) -> Tensor:
    """Replace scores ``[..., K, T]`` by probabilities, given the log-sum-exp ``[..., 1, T]``."""
    # A query without a key has -inf for both, and their difference would be NaN. Rounding of a huge
    # log-sum-exp is many nats, and a probability is at most 1 all the same.
    return scores.sub_((lse * LOG2E).clamp_min_(LOWEST)).clamp_max_(0.0).exp2_()


def heads_first(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """``[B, S, H, C]`` to ``[B * H, S, C]`` in ``dtype``."""
    batch, length, heads, columns = tensor.shape
    return tensor.transpose(1, 2).to(dtype).reshape(batch * heads, length, columns)


def heads_last(tensor: Tensor, batch: int) -> Tensor:
    """``[B * H, S, C]`` to ``[B, S, H, C]``, a view."""
    return tensor.unflatten(0, (batch, -1)).transpose(1, 2)


def _budget(query: Tensor) -> int:
    itemsize = torch.promote_types(query.dtype, torch.float32).itemsize
    return SCORE_BYTES.get(query.device.type, SCORE_BYTES_ELSEWHERE) // itemsize


def _runs(length: int, size: int) -> Iterator[slice]:
    size = max(1, min(size, length))
    for start in range(0, length, size):
        yield slice(start, min(start + size, length))

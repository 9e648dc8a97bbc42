"""The peaks of the nouns: nothing is written but the peaks.

One program owns a frame of one head and streams its queries, ``BLOCK_M`` at a time; of each it
gathers the keys of nouns as ``token_probs`` does. Every lane keeps the best probability it has seen
and where, so the rows of a block are compared with each other once, at the end.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from ..key_groups import KeyGroups
from . import launch, operands
from .biased_attention import attend
from .configs import Form
from .flash import LOG2E, rows_at
from .noun_probs import ROUND, sum_noun_probs


def token_peaks(
    query: Tensor,
    key: Tensor,
    groups: KeyGroups,
    frames: int,
    key_offset: Tensor | None,
    lse: Tensor | None,
    scale: float,
) -> tuple[Tensor, Tensor]:
    batch, queries, heads, head_dim = query.shape
    shape = (batch, heads, groups.count, frames)
    peaks = query.new_empty(shape, dtype=torch.float32)
    positions = query.new_empty(shape, dtype=torch.int64)
    if groups.count == 0:
        return peaks, positions
    launch.check(query)
    if lse is None:
        _, lse, _ = attend(query, key, None, None, None, key_offset, scale)
    query, scale = launch.positive_scale(query, scale)
    gathered = groups.columns.numel()
    launch.launch(
        token_peaks_kernel,
        query,
        # One row, the frame, of every head and frame.
        launch.Work(Form.PEAKS, 1, batch * heads * frames, head_dim, gathered=gathered),
        query=operands.rows(query),
        key=operands.rows(key),
        lse_ptr=lse.to(torch.float32).contiguous(),
        peaks_ptr=peaks,
        positions_ptr=positions,
        offset=None if key_offset is None else operands.per_key(key_offset),
        groups=operands.nouns(groups),
        num_heads=heads,
        num_frames=frames,
        num_patches=queries // frames,
        num_keys=key.shape[1],
        num_groups=groups.count,
        num_grouped=gathered,
        score_scale=scale * launch.LOG2E,
        HEAD_DIM=head_dim,
        HAS_OFFSET=key_offset is not None,
    )
    return peaks, positions


@triton.jit(
    do_not_specialize=[
        "num_heads", "num_frames", "num_patches", "num_keys", "num_row_blocks", "num_groups",
        "num_grouped",
    ]
)  # fmt: skip
def token_peaks_kernel(
    query, key,  # Rows: [B, F * N, H, D], [B, K, H, D]
    lse_ptr, peaks_ptr, positions_ptr,  # [B, H, F * N] nats, [B, H, G, F], [B, H, G, F] int64
    offset, groups,  # PerKey, Nouns
    num_heads, num_frames, num_patches, num_keys, num_row_blocks,  # the last is 1
    num_groups, num_grouped,  # nouns, keys with a noun
    score_scale,  # scale * log2(e)
    HEAD_DIM: tl.constexpr, HAS_OFFSET: tl.constexpr,
    BLOCK_D: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_T: tl.constexpr,
    INTERPRETED: tl.constexpr,
):  # fmt: skip
    frame = tl.program_id(0) % num_frames
    head_index = (tl.program_id(0) // num_frames).to(tl.int64)
    batch = head_index // num_heads
    head = head_index % num_heads
    num_queries = num_frames * num_patches
    offs_m = tl.arange(0, BLOCK_M)
    offs_d = tl.arange(0, BLOCK_D)

    for first_group in tl.range(0, num_groups, ROUND, num_stages=1):
        best = tl.full([BLOCK_M, ROUND], -1.0, tl.float32)
        best_at = tl.zeros([BLOCK_M, ROUND], tl.int32)
        for first_patch in tl.range(0, num_patches, BLOCK_M, num_stages=1):
            patches = first_patch + offs_m
            here = patches < num_patches
            rows = frame * num_patches + patches
            queries = rows_at(
                query, batch, head, rows[:, None], here[:, None], offs_d[None, :], HEAD_DIM
            )
            lse = tl.load(lse_ptr + head_index * num_queries + rows, mask=here, other=0.0) * LOG2E
            probs = sum_noun_probs(
                first_group, queries, lse, key, groups, offset, None, batch, head, rows,
                num_queries, num_keys, num_grouped, 0, 0, score_scale, HEAD_DIM, BLOCK_D, BLOCK_T,
                HAS_OFFSET, False, False, INTERPRETED,
            )  # fmt: skip
            # Above all probabilities stands NaN, below all of them a query that is not there.
            ranks = tl.where(probs == probs, probs, float("inf"))
            ranks = tl.where(here[:, None], ranks, -1.0)
            best_at = tl.where(ranks > best, patches[:, None], best_at)
            best = tl.maximum(best, ranks)

        peak = tl.max(best, 0)
        position = tl.min(tl.where(best == peak[None, :], best_at, num_patches), 0)
        position = tl.where(peak == 0.0, -1, position)
        some_groups = first_group + tl.arange(0, ROUND)
        at = (head_index * num_groups + some_groups) * num_frames + frame
        exists = some_groups < num_groups
        tl.store(peaks_ptr + at, tl.where(peak < float("inf"), peak, float("nan")), mask=exists)
        tl.store(positions_ptr + at, position.to(tl.int64), mask=exists)

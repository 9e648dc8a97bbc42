"""Probabilities of the nouns alone: from a known log-sum-exp, or with a pass that finds it.

With a known log-sum-exp one program owns ``BLOCK_M`` queries of one head and gathers the keys of
nouns, 16 to 64 at a time; no other key is read.
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
from .noun_probs import store_noun_probs


def token_probs(
    query: Tensor,
    key: Tensor,
    groups: KeyGroups,
    key_offset: Tensor | None,
    lse: Tensor | None,
    scale: float,
) -> Tensor:
    if lse is None:
        return attend(query, key, None, groups, None, key_offset, scale)[2]
    batch, queries, heads, head_dim = query.shape
    probs = query.new_empty((batch, heads, groups.count, queries), dtype=torch.float32)
    if groups.count == 0:
        return probs
    launch.check(query)
    query, scale = launch.positive_scale(query, scale)
    gathered = groups.columns.numel()
    launch.launch(
        token_probs_kernel,
        query,
        launch.Work(Form.PROBS, queries, batch * heads, head_dim, gathered=gathered),
        query=operands.rows(query),
        key=operands.rows(key),
        lse_ptr=lse.to(torch.float32).contiguous(),
        probs_ptr=probs,
        offset=None if key_offset is None else operands.per_key(key_offset),
        groups=operands.nouns(groups),
        num_heads=heads,
        num_queries=queries,
        num_keys=key.shape[1],
        num_groups=groups.count,
        num_grouped=gathered,
        score_scale=scale * launch.LOG2E,
        HEAD_DIM=head_dim,
        HAS_OFFSET=key_offset is not None,
    )
    return probs


@triton.jit(
    do_not_specialize=[
        "num_heads", "num_queries", "num_keys", "num_row_blocks", "num_groups", "num_grouped",
    ]
)  # fmt: skip
def token_probs_kernel(
    query, key,  # Rows: [B, Q, H, D], [B, K, H, D]
    lse_ptr, probs_ptr,  # [B, H, Q] nats, [B, H, G, Q]
    offset, groups,  # PerKey, Nouns
    num_heads, num_queries, num_keys, num_row_blocks,
    num_groups, num_grouped,  # nouns, keys with a noun
    score_scale,  # scale * log2(e)
    HEAD_DIM: tl.constexpr, HAS_OFFSET: tl.constexpr,
    BLOCK_D: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_T: tl.constexpr,
    INTERPRETED: tl.constexpr,
):  # fmt: skip
    head_index = (tl.program_id(0) // num_row_blocks).to(tl.int64)
    batch = head_index // num_heads
    head = head_index % num_heads
    rows = (tl.program_id(0) % num_row_blocks) * BLOCK_M + tl.arange(0, BLOCK_M)
    here = rows < num_queries
    offs_d = tl.arange(0, BLOCK_D)

    queries = rows_at(query, batch, head, rows[:, None], here[:, None], offs_d[None, :], HEAD_DIM)
    lse = tl.load(lse_ptr + head_index * num_queries + rows, mask=here, other=0.0) * LOG2E
    store_noun_probs(
        probs_ptr + head_index * num_groups * num_queries, queries, lse, key, groups,
        offset, None, batch, head, rows, num_queries, num_keys, num_grouped, num_groups,
        0, 0, score_scale, HEAD_DIM, BLOCK_D, BLOCK_T,
        HAS_OFFSET, False, False, INTERPRETED,
    )  # fmt: skip

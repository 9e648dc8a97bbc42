"""Attention under the bias of a layout.

One program owns ``BLOCK_M`` queries of one head and streams all keys past them. Full blocks of
keys that nothing touches go through the plain pipelined loop. What is touched goes through a
masked tail: the blocks from the first to the last key of a noun, then the blocks from the first
key with an offset, or from the incomplete one, to the end. So a bias costs tail tiles, not
instructions in the loop, and no key is ever moved or copied: one tile is enough where the nouns of
a prompt stand in one block or were put last (``KeyGroups.nouns_last``). A strength of 0 closes the
gap in the loop, which is then the very computation without a bias.

Up to 128 keys, a folded prompt, are one masked tile and no loop at all.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from ..key_groups import KeyGroups
from ..layout_bias import LayoutBias
from . import launch, operands
from .configs import Form
from .flash import (
    HUGE,
    LN2,
    LOWEST,
    absorb,
    block_of,
    multiply,
    multiply_values,
    rows_at,
    store_rows,
)
from .noun_probs import store_noun_probs
from .score_bias import finish_scores, first_offset


def biased_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: LayoutBias | None,
    key_offset: Tensor | None,
    scale: float,
) -> tuple[Tensor, Tensor]:
    output, lse, _ = attend(query, key, value, None, bias, key_offset, scale)
    return output, lse


def biased_attention_with_probs(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    groups: KeyGroups,
    bias: LayoutBias | None,
    key_offset: Tensor | None,
    scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    return attend(query, key, value, groups, bias, key_offset, scale)


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor | None,
    groups: KeyGroups | None,
    bias: LayoutBias | None,
    key_offset: Tensor | None,
    scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Output, log-sum-exp and probabilities of the nouns; the first is empty without values."""
    batch, queries, heads, head_dim = query.shape
    keys = key.shape[1]
    columns = 0 if value is None else value.shape[-1]
    like = query if value is None else value
    output = like.new_empty((batch, queries, heads, columns))
    lse = query.new_empty((batch, heads, queries), dtype=torch.float32)
    count = 0 if groups is None else groups.count
    probs = lse.new_empty((batch, heads, count, queries))
    if bias is not None and not bias.groups.columns.numel():
        bias = None  # No key has a noun.
    has_probs = groups is not None and count > 0

    launch.check(query)
    query, scale = launch.positive_scale(query, scale)
    form = launch.form_of_attention(query, keys)
    gathered = groups.columns.numel() if groups is not None and has_probs else 0
    launch.launch(
        attention_kernel,
        query,
        launch.Work(form, queries, batch * heads, head_dim, columns, keys, gathered),
        query=operands.rows(query),
        key=operands.rows(key),
        value=None if value is None else operands.rows(value),
        output=None if value is None else operands.results(output),
        lse_ptr=lse,
        probs_ptr=probs if has_probs else None,
        offset=None if key_offset is None else operands.per_key(key_offset),
        bias=None if bias is None else operands.bias(bias),
        groups=operands.nouns(groups) if groups is not None and has_probs else None,
        num_heads=heads,
        num_queries=queries,
        num_keys=keys,
        num_nouns=0 if bias is None else bias.groups.count,
        num_classes=0 if bias is None else bias.table.shape[-1],
        num_biased=0 if bias is None else bias.groups.columns.numel(),
        num_groups=count,
        num_grouped=gathered,
        score_scale=scale * launch.LOG2E,
        HEAD_DIM=head_dim,
        COLUMNS=columns,
        ONE_TILE=form is Form.ONE_TILE,
        HAS_VALUES=value is not None,
        HAS_OFFSET=key_offset is not None,
        HAS_BIAS=bias is not None,
        HAS_LIFT=bias is not None and bias.weight is not None,
        HAS_PROBS=has_probs,
    )
    return output, lse, probs


# Sizes that change from prompt to prompt must not each compile a kernel of their own.
@triton.jit(
    do_not_specialize=[
        "num_heads", "num_queries", "num_keys", "num_row_blocks", "num_nouns", "num_classes",
        "num_biased", "num_groups", "num_grouped",
    ]
)  # fmt: skip
def attention_kernel(
    query, key, value, output,  # Rows: [B, Q, H, D], [B, K, H, D], [B, K, H, C], [B, Q, H, C]
    lse_ptr, probs_ptr,  # [B, H, Q] nats, [B, H, G, Q]
    offset, bias, groups,  # PerKey, Bias, Nouns
    num_heads, num_queries, num_keys, num_row_blocks,
    num_nouns, num_classes, num_biased,  # of the bias: nouns, classes, keys with a noun
    num_groups, num_grouped,  # of the statistics: nouns, keys with a noun
    score_scale,  # scale * log2(e), not negative
    HEAD_DIM: tl.constexpr, COLUMNS: tl.constexpr, ONE_TILE: tl.constexpr,
    HAS_VALUES: tl.constexpr, HAS_OFFSET: tl.constexpr, HAS_BIAS: tl.constexpr,
    HAS_LIFT: tl.constexpr, HAS_PROBS: tl.constexpr,
    BLOCK_D: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
    BLOCK_T: tl.constexpr, INTERPRETED: tl.constexpr,
):  # fmt: skip
    head_index = (tl.program_id(0) // num_row_blocks).to(tl.int64)
    batch = head_index // num_heads
    head = head_index % num_heads
    rows = (tl.program_id(0) % num_row_blocks) * BLOCK_M + tl.arange(0, BLOCK_M)
    here = rows < num_queries
    offs_n = tl.arange(0, BLOCK_N)
    offs_d = tl.arange(0, BLOCK_D)
    offs_c = tl.arange(0, BLOCK_C)

    queries = rows_at(query, batch, head, rows[:, None], here[:, None], offs_d[None, :], HEAD_DIM)
    total = tl.zeros([BLOCK_M, BLOCK_C], tl.float32)
    row_max = tl.full([BLOCK_M], LOWEST if ONE_TILE else -HUGE, tl.float32)
    row_sum = tl.zeros([BLOCK_M], tl.float32)

    # The plain blocks are those before `end`, less `gap` blocks from `gap_at` on.
    end = 0 if ONE_TILE else num_keys // BLOCK_N
    gap_at = 0
    gap = 0
    if not ONE_TILE:
        if HAS_OFFSET:
            end = tl.minimum(end, first_offset(offset, batch, num_keys) // BLOCK_N)
        if HAS_BIAS:
            first = tl.load(bias.nouns.columns_ptr).to(tl.int32) // BLOCK_N
            last = tl.load(bias.nouns.columns_ptr + num_biased - 1).to(tl.int32) // BLOCK_N
            gap_at = tl.minimum(first, end)
            gap = tl.minimum(last + 1, end) - gap_at
            gap = tl.where(tl.load(bias.strength_ptr) == 0.0, 0, gap)
        for block in tl.range(0, end - gap):
            if HAS_BIAS:
                block += tl.where(block < gap_at, 0, gap)
            start = block * BLOCK_N
            keys = block_of(key, batch, head, start, offs_n[None, :], offs_d[:, None], HEAD_DIM)
            scores = tl.zeros([BLOCK_M, BLOCK_N], tl.float32)
            scores = multiply(queries, keys, scores, INTERPRETED)
            probs, total, row_max, row_sum = absorb(scores, score_scale, total, row_max, row_sum)
            if HAS_VALUES:
                values = block_of(
                    value, batch, head, start, offs_n[:, None], offs_c[None, :], COLUMNS
                )
                total = multiply_values(probs, values, total, INTERPRETED)
        # The tail rounds scores before it looks for a pivot among them: it can take any, and takes
        # all blocks where the loop met none but huge ones, or none at all, in a row.
        if tl.max(tl.abs(row_max)) >= HUGE:
            end -= end
            gap -= gap
            total = tl.zeros([BLOCK_M, BLOCK_C], tl.float32)
            row_max = tl.full([BLOCK_M], LOWEST, tl.float32)
            row_sum = tl.zeros([BLOCK_M], tl.float32)

    tail = 1 if ONE_TILE else tl.cdiv(num_keys, BLOCK_N) - (end - gap)
    for step in tl.range(0, tail, num_stages=1):
        block = tl.where(step < gap, gap_at + step, end - gap + step)
        positions = block * BLOCK_N + offs_n
        there = positions < num_keys
        keys = rows_at(
            key, batch, head, positions[None, :], there[None, :], offs_d[:, None], HEAD_DIM
        )
        scores = tl.zeros([BLOCK_M, BLOCK_N], tl.float32)
        scores = multiply(queries, keys, scores, INTERPRETED)
        scores = finish_scores(
            scores, score_scale, positions, there, offset, bias, batch, head, rows, num_queries,
            num_nouns, num_classes, HAS_OFFSET, HAS_BIAS, HAS_LIFT,
        )  # fmt: skip
        probs, total, row_max, row_sum = absorb(scores, 1.0, total, row_max, row_sum)
        if HAS_VALUES:
            values = rows_at(
                value, batch, head, positions[:, None], there[:, None], offs_c[None, :], COLUMNS
            )
            total = multiply_values(probs, values, total, INTERPRETED)

    lse = row_max + tl.log2(row_sum)
    tl.store(lse_ptr + head_index * num_queries + rows, lse * LN2, mask=here)
    if HAS_VALUES:
        result = total / tl.where(row_sum == 0.0, 1.0, row_sum)[:, None]
        store_rows(output, batch, head, rows, here, offs_c, result, COLUMNS, INTERPRETED)
    if HAS_PROBS:
        store_noun_probs(
            probs_ptr + head_index * num_groups * num_queries, queries, lse, key, groups,
            offset, bias, batch, head, rows, num_queries, num_keys, num_grouped, num_groups,
            num_nouns, num_classes, score_scale, HEAD_DIM, BLOCK_D, BLOCK_T,
            HAS_OFFSET, HAS_BIAS, HAS_LIFT, INTERPRETED,
        )  # fmt: skip

"""Probabilities of the nouns, read off once the log-sum-exp of the rows is known.

The keys of nouns are few, so their scores are computed again from gathered keys. That keeps the
statistics out of the loop over all keys: it holds no registers for them, and the output has the
same bits whether or not they are asked for.
"""

import triton
import triton.language as tl

from .flash import LOWEST, multiply, rows_at
from .score_bias import finish_scores

# Columns of the one-hot product, the fewest that a matrix unit takes; more nouns, more rounds.
ROUND = tl.constexpr(16)


@triton.jit
def store_noun_probs(
    probs_ptr, query, lse, keys, nouns, offset, bias, batch, head, rows, num_queries, num_keys,
    num_columns, num_groups, num_nouns, num_classes, score_scale,
    HEAD_DIM: tl.constexpr, BLOCK_D: tl.constexpr, BLOCK_T: tl.constexpr,
    HAS_OFFSET: tl.constexpr, HAS_BIAS: tl.constexpr, HAS_LIFT: tl.constexpr,
    INTERPRETED: tl.constexpr,
):  # fmt: skip
    """Write ``probs [G, Q]`` of one head for the queries ``rows``; ``lse`` in units of ``ln 2``."""
    for first_group in tl.range(0, num_groups, ROUND, num_stages=1):
        sums = sum_noun_probs(
            first_group, query, lse, keys, nouns, offset, bias, batch, head, rows, num_queries,
            num_keys, num_columns, num_nouns, num_classes, score_scale, HEAD_DIM, BLOCK_D, BLOCK_T,
            HAS_OFFSET, HAS_BIAS, HAS_LIFT, INTERPRETED,
        )  # fmt: skip
        some_groups = first_group + tl.arange(0, ROUND)
        ptrs = probs_ptr + tl.cast(some_groups, tl.int64)[None, :] * num_queries + rows[:, None]
        here = (rows < num_queries)[:, None] & (some_groups < num_groups)[None, :]
        tl.store(ptrs, sums, mask=here)


@triton.jit
def sum_noun_probs(
    first_group, query, lse, keys, nouns, offset, bias, batch, head, rows, num_queries, num_keys,
    num_columns, num_nouns, num_classes, score_scale,
    HEAD_DIM: tl.constexpr, BLOCK_D: tl.constexpr, BLOCK_T: tl.constexpr,
    HAS_OFFSET: tl.constexpr, HAS_BIAS: tl.constexpr, HAS_LIFT: tl.constexpr,
    INTERPRETED: tl.constexpr,
):  # fmt: skip
    """Probabilities ``[M, ROUND]`` of the nouns from ``first_group`` on, of one head."""
    offs_d = tl.arange(0, BLOCK_D)
    offs_n = tl.arange(0, BLOCK_T)
    # A row without a key has -inf here and in its scores, and their difference would be NaN.
    pivot = tl.maximum(lse, LOWEST, propagate_nan=tl.PropagateNan.ALL)
    some_groups = first_group + tl.arange(0, ROUND)
    sums = tl.zeros([query.shape[0], ROUND], tl.float32)
    for first in tl.range(0, num_columns, BLOCK_T, num_stages=1):
        there = first + offs_n < num_columns
        positions = tl.load(nouns.columns_ptr + first + offs_n, mask=there, other=0)
        there = there & (positions < num_keys)
        keys_t = rows_at(
            keys, batch, head, positions[None, :], there[None, :], offs_d[:, None], HEAD_DIM
        )
        scores = tl.zeros([query.shape[0], BLOCK_T], tl.float32)
        scores = multiply(query, keys_t, scores, INTERPRETED)
        scores = finish_scores(
            scores, score_scale, positions, there, offset, bias, batch, head, rows, num_queries,
            num_nouns, num_classes, HAS_OFFSET, HAS_BIAS, HAS_LIFT,
        )  # fmt: skip
        # Rounding of a huge log-sum-exp is many nats, and a probability is at most 1 all the same.
        exponents = tl.minimum(scores - pivot[:, None], 0.0, propagate_nan=tl.PropagateNan.ALL)
        probs = tl.exp2(exponents)
        ptrs = nouns.index_ptr + batch * nouns.index_batch_stride + positions
        owner = tl.load(ptrs, mask=there, other=-1).to(tl.int32)
        owned = (owner[:, None] == some_groups[None, :]).to(tl.float32)
        sums = tl.dot(probs, owned, sums, input_precision="tf32x3")
    return sums

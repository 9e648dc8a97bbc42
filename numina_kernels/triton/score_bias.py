"""Offset, mask and layout bias on a tile of scores.

Costs about three instructions a score and noun (six where a class lifts), so it is kept to the
tiles that a bias can touch. A chain of selects beats a product of one-hot matrices: it is exact in
float32, knows ``-inf``, and needs no registers between nouns.
"""

import triton
import triton.language as tl

from .flash import LOG2E

# Values of BiasMode, which a kernel cannot read.
OVERWRITE = tl.constexpr(1)
LIFT = tl.constexpr(2)
# Keys looked at together in search of the first offset.
SCAN = tl.constexpr(1024)


@triton.jit
def first_offset(offset, batch, num_keys):
    """The first key with an offset, or ``num_keys``."""
    first = num_keys
    for start in tl.range(0, num_keys, SCAN, num_stages=1):
        positions = start + tl.arange(0, SCAN)
        ptrs = offset.ptr + batch * offset.batch_stride + positions
        values = tl.load(ptrs, mask=positions < num_keys, other=0.0)
        first = tl.minimum(first, tl.min(tl.where(values != 0.0, positions, num_keys)))
    return first


@triton.jit
def finish_scores(
    products, score_scale, positions, there, offset, bias, batch, head, rows, num_queries,
    num_nouns, num_classes,
    HAS_OFFSET: tl.constexpr, HAS_BIAS: tl.constexpr, HAS_LIFT: tl.constexpr,
):  # fmt: skip
    """Scores ``[M, N]`` of the keys ``positions``, in units of ``ln 2``, from their products.

    Where rounding happens is written out, so that it is the same with and without a bias.
    """
    if HAS_OFFSET:
        offset_ptrs = offset.ptr + batch * offset.batch_stride + positions
        offsets = tl.load(offset_ptrs, mask=there, other=0.0) * LOG2E
        scores = tl.fma(products, score_scale, offsets[None, :])
    else:
        scores = products * score_scale
    if HAS_BIAS:
        strength = tl.load(bias.strength_ptr)
        # Off is off: not even a rounding may tell it from no bias.
        if strength != 0.0:
            nouns = bias.nouns
            noun_ptrs = nouns.index_ptr + batch * nouns.index_batch_stride + positions
            noun_of_key = tl.load(noun_ptrs, mask=there, other=-1).to(tl.int32)
            scores = _biased(
                scores, noun_of_key, strength, bias, batch, head, rows, num_queries,
                num_nouns, num_classes, HAS_LIFT,
            )  # fmt: skip
    return tl.where(there[None, :], scores, -float("inf"))


@triton.jit
def _biased(
    scores, noun_of_key, strength, bias, batch, head, rows, num_queries, num_nouns, num_classes,
    HAS_LIFT: tl.constexpr,
):  # fmt: skip
    """``keep * s + shift + share * max(target - s, 0)``: one formula for the three modes."""
    here = rows < num_queries
    for noun in tl.range(0, num_nouns, num_stages=1):
        labels_ptr = bias.labels_ptr + batch * bias.labels_batch_stride
        labels_ptr += tl.cast(noun, tl.int64) * bias.labels_noun_stride
        label = tl.load(labels_ptr + rows, mask=here, other=0).to(tl.int32)
        entry = noun * num_classes + label
        table_ptr = bias.table_ptr + batch * bias.table_batch_stride + head * bias.table_head_stride
        target = tl.load(table_ptr + entry) * LOG2E
        mode = tl.load(bias.mode_ptr + batch * bias.mode_batch_stride + entry)
        shift = tl.where(mode == LIFT, 0.0, strength * target)
        keep = tl.where(mode == OVERWRITE, 0.0, 1.0)
        biased = tl.fma(scores, keep[:, None], shift[:, None])
        if HAS_LIFT:
            weight = tl.load(bias.weight_ptr + batch * bias.weight_batch_stride + entry)
            share = tl.where(mode == LIFT, strength * weight, 0.0)
            missing = tl.maximum(target[:, None] - scores, 0.0)
            biased = tl.fma(share[:, None], missing, biased)
        # What is not finite stays: no mode brings an absent key back or hides an overflow.
        touched = (noun_of_key[None, :] == noun) & (tl.abs(scores) < float("inf"))
        scores = tl.where(touched, biased, scores)
    return scores

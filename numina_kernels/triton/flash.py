"""The flash loop, written once: load a tile, multiply, absorb its scores.

Scores are kept in units of ``ln 2``, because the hardware has ``exp2`` and no ``exp``. Every kernel
streams its unmasked blocks with these helpers and nothing else, so that the loop the compiler
pipelines is the same plain one everywhere; what costs more happens in a masked tail.
"""

import triton
import triton.language as tl

LOG2E = tl.constexpr(1.4426950408889634)
LN2 = tl.constexpr(0.6931471805599453)
# The finite pivot of a row without a key: -inf less -inf would be NaN.
LOWEST = tl.constexpr(-3.4028234663852886e38)
# Scores from here on are rounded by 1 and more. `absorb` rounds a pivot but, where it has a factor,
# no score, so with larger ones the largest probability of a row could be anything from 0 to inf.
HUGE = tl.constexpr(16777216.0)


@triton.jit
def block_of(rows, batch, head, first, offs_n, offs_d, WIDTH: tl.constexpr):
    """Rows ``first + offs_n``, all of them there, as ``[N, D]``, or ``[D, N]`` by the offsets.

    The block moves a scalar in int64; inside of a block int32 reaches far enough.
    """
    ptr = rows.ptr + batch * rows.batch_stride + head * rows.head_stride
    ptr += first.to(tl.int64) * rows.row_stride
    if offs_d.numel == WIDTH:
        return tl.load(ptr + (offs_n * rows.row_stride + offs_d))
    else:
        return tl.load(ptr + (offs_n * rows.row_stride + offs_d), mask=offs_d < WIDTH, other=0.0)


@triton.jit
def rows_at(rows, batch, head, positions, there, offs_d, WIDTH: tl.constexpr):
    """Rows at any ``positions``, zero where they are not ``there``."""
    ptr = rows.ptr + batch * rows.batch_stride + head * rows.head_stride
    ptrs = ptr + (positions.to(tl.int64) * rows.row_stride + offs_d)
    return tl.load(ptrs, mask=there & (offs_d < WIDTH), other=0.0)


@triton.jit
def multiply(a, b, total, INTERPRETED: tl.constexpr):
    """``total + a b`` with float32 sums.

    Plain tf32 would throw away half of what float32 knows. Three products of halves are as good as
    float32 (maximal error over 128 terms 1.2 times that of its own rounding), and exact float32
    products spill a thousand registers.
    """
    if INTERPRETED:
        # There the product of two bfloat16 tiles multiplies their bit patterns.
        a = a.to(tl.float32)
        b = b.to(tl.float32)
    return tl.dot(a, b, total, input_precision="tf32x3")


@triton.jit
def rounded_to(values, dtype: tl.constexpr, INTERPRETED: tl.constexpr):
    """``values`` in ``dtype``, rounded to nearest. The interpreter cuts bfloat16 off instead."""
    if INTERPRETED and dtype == tl.bfloat16:
        bits = values.to(tl.uint32, bitcast=True)
        # Nothing is left to cut off: what is below the normal numbers would come out as one.
        nearest = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16) << 16
        values = tl.where(values == values, nearest, bits).to(tl.float32, bitcast=True)
    return values.to(dtype)


@triton.jit
def multiply_values(probs, values, total, INTERPRETED: tl.constexpr):
    """``total + probs values``, the probabilities rounded as the values are."""
    if values.dtype == tl.float64:
        values = values.to(tl.float32)
    probs = rounded_to(probs, values.dtype, INTERPRETED)
    return multiply(probs, values, total, INTERPRETED)


@triton.jit
def absorb(scores, factor, total, row_max, row_sum):
    """One step of the online softmax: probabilities of a tile, and what was before rescaled.

    ``factor`` is not negative and brings ``scores`` to units of ``ln 2``; inside the fused
    multiply-add it is free. Unless it is 1, no pivot may reach ``HUGE``.
    """
    new_max = tl.maximum(row_max, tl.max(scores, 1) * factor)
    probs = tl.exp2(tl.fma(scores, factor, -new_max[:, None]))
    rescale = tl.exp2(row_max - new_max)
    row_sum = tl.fma(row_sum, rescale, tl.sum(probs, 1))
    return probs, total * rescale[:, None], new_max, row_sum


@triton.jit
def store_rows(
    rows, batch, head, positions, there, offs_d, result,
    WIDTH: tl.constexpr, INTERPRETED: tl.constexpr,
):  # fmt: skip
    """Write ``result [N, D]`` where it is ``there``, in the dtype of ``rows``."""
    ptr = rows.ptr + batch * rows.batch_stride + head * rows.head_stride
    ptrs = ptr + (positions.to(tl.int64)[:, None] * rows.row_stride + offs_d[None, :])
    mask = there[:, None] & (offs_d < WIDTH)[None, :]
    tl.store(ptrs, rounded_to(result, rows.ptr.dtype.element_ty, INTERPRETED), mask=mask)

"""Products with an attention map that is never stored.

The first product is a pass of attention whose values are the columns. Later ones know the
log-sum-exp of the rows: one program owns ``BLOCK_M`` rows of the result and streams the other side
past them, with neither a maximum nor a rescaling. For the transposed product the rows are keys,
what streams is queries, and the log-sum-exp streams along.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from . import launch, operands
from .biased_attention import attend
from .configs import MOST_COLUMNS, Form
from .flash import LOG2E, LOWEST, block_of, multiply, multiply_values, rows_at, store_rows


def attention_map_lse(query: Tensor, key: Tensor, scale: float) -> Tensor:
    return attend(query, key, None, None, None, None, scale)[1]


def attention_map_apply(
    query: Tensor, key: Tensor, x: Tensor, scale: float
) -> tuple[Tensor, Tensor]:
    # With a float32 query and few columns the compiler unrolls the pass until registers spill.
    if launch.bits(query) == 16 and 0 < x.shape[-1] <= MOST_COLUMNS[launch.bits(x)]:
        output, lse, _ = attend(query, key, x, None, None, None, scale)
        return output, lse
    lse = attention_map_lse(query, key, scale)
    return attention_map_reapply(query, key, x, lse, scale), lse


def attention_map_reapply(
    query: Tensor, key: Tensor, x: Tensor, lse: Tensor, scale: float
) -> Tensor:
    return _product(query, key, x, lse, scale, transposed=False)


def attention_map_apply_transposed(
    query: Tensor, key: Tensor, y: Tensor, lse: Tensor, scale: float
) -> Tensor:
    return _product(key, query, y, lse, scale, transposed=True)


def _product(
    owned: Tensor, streamed: Tensor, x: Tensor, lse: Tensor, scale: float, *, transposed: bool
) -> Tensor:
    """``exp(owned streamed^T * scale - lse) x``, ``lse [B, H, S]`` that of the queries."""
    if launch.bits(owned) > launch.bits(x):
        # Probabilities are rounded as the columns are; of a float32 map that would lose half.
        return _product(owned, streamed, x.float(), lse, scale, transposed=transposed).to(x.dtype)
    batch, length, heads, head_dim = owned.shape
    output = x.new_empty((batch, length, heads, x.shape[-1]))
    launch.check(owned)
    owned, scale = launch.positive_scale(owned, scale)
    lse = lse.to(torch.float32).contiguous()
    at_once = MOST_COLUMNS[launch.bits(x)]
    for first in range(0, x.shape[-1], at_once):
        some = x[..., first : first + at_once]
        columns = some.shape[-1]
        launch.launch(
            product_kernel,
            owned,
            launch.Work(Form.PRODUCT, length, batch * heads, head_dim, columns),
            owned=operands.rows(owned),
            streamed=operands.rows(streamed),
            x=operands.rows(some),
            output=operands.results(output[..., first : first + at_once]),
            lse_ptr=lse,
            num_heads=heads,
            num_owned=length,
            num_streamed=streamed.shape[1],
            score_scale=scale * launch.LOG2E,
            # Probabilities of a long row are below what float16 resolves, so there they are
            # carried enlarged. The largest is 1, and 2^14 is far from the largest float16.
            ENLARGED=14.0 if some.dtype == torch.float16 else 0.0,
            TRANSPOSED=transposed,
            HEAD_DIM=head_dim,
            COLUMNS=columns,
        )
    return output


@triton.jit(do_not_specialize=["num_heads", "num_owned", "num_streamed", "num_row_blocks"])
def product_kernel(
    owned, streamed, x, output,  # Rows: [B, M, H, D], [B, N, H, D], [B, N, H, C], [B, M, H, C]
    lse_ptr,  # nats, [B, H, N] where transposed, else [B, H, M]
    num_heads, num_owned, num_streamed, num_row_blocks,
    score_scale,  # scale * log2(e)
    ENLARGED: tl.constexpr, TRANSPOSED: tl.constexpr,
    HEAD_DIM: tl.constexpr, COLUMNS: tl.constexpr,
    BLOCK_D: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
    INTERPRETED: tl.constexpr,
):  # fmt: skip
    head_index = (tl.program_id(0) // num_row_blocks).to(tl.int64)
    batch = head_index // num_heads
    head = head_index % num_heads
    rows = (tl.program_id(0) % num_row_blocks) * BLOCK_M + tl.arange(0, BLOCK_M)
    here = rows < num_owned
    offs_n = tl.arange(0, BLOCK_N)
    offs_d = tl.arange(0, BLOCK_D)
    offs_c = tl.arange(0, BLOCK_C)

    mine = rows_at(owned, batch, head, rows[:, None], here[:, None], offs_d[None, :], HEAD_DIM)
    total = tl.zeros([BLOCK_M, BLOCK_C], tl.float32)
    lse_ptr += head_index * (num_streamed if TRANSPOSED else num_owned)
    own_lse = tl.load(lse_ptr + rows, mask=here & (not TRANSPOSED), other=0.0)

    full = num_streamed // BLOCK_N
    for block in tl.range(0, full):
        start = block * BLOCK_N
        theirs = block_of(streamed, batch, head, start, offs_n[None, :], offs_d[:, None], HEAD_DIM)
        scores = tl.zeros([BLOCK_M, BLOCK_N], tl.float32)
        scores = multiply(mine, theirs, scores, INTERPRETED)
        if TRANSPOSED:
            their_lse = tl.load(lse_ptr + start + offs_n)
            probs = _probs(scores, score_scale, their_lse[None, :], ENLARGED)
        else:
            probs = _probs(scores, score_scale, own_lse[:, None], ENLARGED)
        values = block_of(x, batch, head, start, offs_n[:, None], offs_c[None, :], COLUMNS)
        total = multiply_values(probs, values, total, INTERPRETED)

    for block in tl.range(full, tl.cdiv(num_streamed, BLOCK_N), num_stages=1):
        positions = block * BLOCK_N + offs_n
        there = positions < num_streamed
        theirs = rows_at(
            streamed, batch, head, positions[None, :], there[None, :], offs_d[:, None], HEAD_DIM
        )
        scores = tl.zeros([BLOCK_M, BLOCK_N], tl.float32)
        scores = multiply(mine, theirs, scores, INTERPRETED)
        scores = tl.where(there[None, :], scores, -float("inf"))
        if TRANSPOSED:
            their_lse = tl.load(lse_ptr + positions, mask=there, other=0.0)
            probs = _probs(scores, score_scale, their_lse[None, :], ENLARGED)
        else:
            probs = _probs(scores, score_scale, own_lse[:, None], ENLARGED)
        values = rows_at(
            x, batch, head, positions[:, None], there[:, None], offs_c[None, :], COLUMNS
        )
        total = multiply_values(probs, values, total, INTERPRETED)

    total *= 2.0**-ENLARGED
    store_rows(output, batch, head, rows, here, offs_c, total, COLUMNS, INTERPRETED)


@triton.jit
def _probs(scores, score_scale, lse, ENLARGED: tl.constexpr):
    """Probabilities times ``2^ENLARGED`` of products not yet scaled, ``lse`` in nats."""
    # A row without a key has -inf for both, and their difference would be NaN.
    pivot = tl.maximum(lse * LOG2E, LOWEST, propagate_nan=tl.PropagateNan.ALL) - ENLARGED
    exponents = tl.fma(scores, score_scale, -pivot)
    # Rounding of a huge log-sum-exp is many nats, and a probability is at most 1 all the same.
    return tl.exp2(tl.minimum(exponents, ENLARGED, propagate_nan=tl.PropagateNan.ALL))

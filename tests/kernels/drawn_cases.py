"""Drawn inputs of the operations, and what each operation owes to every one of them.

An error budget comes from plain torch in the same dtype and a float64 oracle; see
``assert_within_budget``. ``test_drawn_cases.py`` runs the checks.
"""

import math
from dataclasses import dataclass, replace

import torch
from hypothesis import strategies as st
from torch import Tensor

from numina_kernels import (
    AttentionMap,
    Impl,
    KeyGroups,
    LayoutBias,
    biased_attention,
    biased_attention_with_probs,
    token_peaks,
    token_probs,
)
from numina_kernels.testing import (
    assert_within_budget,
    make_groups,
    make_layout_bias,
    make_qkv,
    poisoned_buffers,
    score_rounding,
    strided_like,
)

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
LAYOUTS = ("contiguous", "heads first", "sliced", "expanded")
# Keys of a tile of Triton, in its interpreter also the most that are one tile.
TILE = 64


@dataclass(frozen=True, eq=False)
class Case:
    """One input, but for its dtype.

    Attributes:
        batch: Batch rows.
        frames: Frames that the queries are made of.
        patches: Queries of a frame.
        keys: Keys.
        heads: Heads.
        head_dim: Width of a query.
        layout: Memory layout of all tensors; see ``strided_like``.
        groups: Noun of every key.
        bias: Bias on their scores.
        key_offset: Added to the scores of each key, ``[B|1, K]``, or None.
        knows_lse: Whether the log-sum-exp is found beforehand where an operation can use it.
        columns: Columns that a map multiplies.
        columns_dtype: Their dtype.
        seed: Of the random numbers.
        device: Where the tensors live.
    """

    batch: int
    frames: int
    patches: int
    keys: int
    heads: int
    head_dim: int
    layout: str
    groups: KeyGroups
    bias: LayoutBias
    key_offset: Tensor | None
    knows_lse: bool
    columns: int
    columns_dtype: torch.dtype
    seed: int
    device: str = "cpu"

    def to(self, device: str) -> "Case":
        """The same numbers in the same layout on ``device``."""
        return replace(
            self,
            groups=self.groups.to(device),
            bias=self.bias.to(device),
            key_offset=None if self.key_offset is None else self.key_offset.to(device),
            device=device,
        )

    def tensors(self, width: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
        """One tensor as long as the queries and two as long as the keys."""
        queries = self.frames * self.patches
        drawn = make_qkv(
            self.batch, queries, self.keys, self.heads, width, dtype=dtype, seed=self.seed
        )
        first, second, third = (strided_like(each.to(self.device), self.layout) for each in drawn)
        return first, second, third


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Any lengths, nouns, classes, offsets and strides; small, as Triton may be interpreted."""
    batch, heads = draw(st.sampled_from([(1, 1), (1, 2), (2, 1), (2, 2)]))
    # Less than a tile of queries and more, within a frame and over several.
    frames, patches = draw(
        st.one_of(
            st.tuples(st.integers(1, 3), st.integers(1, 24)),
            st.tuples(st.just(1), st.integers(120, 140)),
            st.tuples(st.just(2), st.integers(60, 70)),
        )
    )
    keys = draw(st.one_of(st.integers(1, 2 * TILE), st.sampled_from([3 * TILE, 4 * TILE + 5])))
    seed = draw(st.integers(0, 2**16))
    generator = torch.Generator().manual_seed(seed)

    def one_or(size: int) -> int:
        return draw(st.sampled_from([1, size]))

    groups = make_groups(one_or(batch), keys, draw(st.integers(0, 4)), seed=seed)
    first = draw(st.integers(0, keys - 1))
    last = draw(st.integers(first, keys - 1))
    outside = (torch.arange(keys) < first) | (torch.arange(keys) > last)
    groups = KeyGroups(groups.index.masked_fill(outside, -1), groups.count)
    bias = make_layout_bias(
        groups,
        frames * patches,
        batch=one_or(batch),
        heads=one_or(heads),
        classes=draw(st.integers(1, 5)),
        strength=draw(st.sampled_from([0.0, 0.25, 1.0, 1.75])),
        seed=seed,
    )
    if draw(st.booleans()):
        bias.table[torch.rand(bias.table.shape, generator=generator) < 0.3] = -math.inf
    key_offset = None
    if draw(st.booleans()):
        key_offset = torch.randn(one_or(batch), keys, generator=generator)
        key_offset[torch.rand(key_offset.shape, generator=generator) < 0.2] = -math.inf
        key_offset[:, : draw(st.integers(0, keys))] = 0.0
    return Case(
        batch, frames, patches, keys, heads,
        head_dim=draw(st.sampled_from([8, 17, 32, 64, 96, 128, 256])),
        layout=draw(st.sampled_from(LAYOUTS)),
        groups=groups,
        bias=bias,
        key_offset=key_offset,
        knows_lse=draw(st.booleans()),
        columns=draw(st.integers(1, 17)),
        columns_dtype=draw(st.sampled_from(DTYPES)),
        seed=seed,
    )  # fmt: skip


def is_refused(case: Case, dtype: torch.dtype, impl: Impl) -> bool:
    """Whether ``impl`` was not built for it: two float32 tiles that wide do not fit registers."""
    return impl is Impl.TRITON and dtype == torch.float32 and case.head_dim > 128


def device_of(impl: Impl) -> str:
    """Where ``impl`` is checked: Triton on a GPU, or in its interpreter where there is none."""
    return "cuda" if impl is Impl.TRITON and torch.cuda.is_available() else "cpu"


def check_attention(case: Case, dtype: torch.dtype, impl: Impl) -> float:
    """``biased_attention_with_probs``: output, log-sum-exp and probabilities of the nouns."""
    query, key, value = case.tensors(case.head_dim, dtype)
    wide = (query.double(), key.double(), value.double())
    groups, bias, offset = case.groups, case.bias, case.key_offset
    exact = biased_attention_with_probs(*wide, groups, bias, key_offset=offset, impl=Impl.REFERENCE)
    plain = biased_attention_with_probs(
        query, key, value, groups, bias, key_offset=offset, impl=Impl.REFERENCE
    )

    there = case.to(device_of(impl))
    tensors = there.tensors(case.head_dim, dtype)
    with poisoned_buffers():
        actual = biased_attention_with_probs(
            *tensors, there.groups, there.bias, key_offset=there.key_offset, impl=impl
        )

    assert actual[0].dtype == dtype
    assert actual[1].dtype == actual[2].dtype == torch.float32
    assert all(got.is_contiguous() for got in actual)
    rounding = score_rounding(query, key, bias, offset)
    floors = (rounding * value.abs().max().item(), rounding, rounding)
    return max(
        assert_within_budget(got.cpu(), eager, true, floor=floor)
        for got, eager, true, floor in zip(actual, plain, exact, floors, strict=True)
    )


def check_nouns(case: Case, dtype: torch.dtype, impl: Impl) -> float:
    """``token_probs`` and ``token_peaks``, with and without a known log-sum-exp."""
    query, key, _ = case.tensors(case.head_dim, dtype)
    groups, offset = case.groups, case.key_offset
    wide = (query.double(), key.double())
    exact = token_probs(*wide, groups, key_offset=offset, impl=Impl.REFERENCE)
    plain = token_probs(query, key, groups, key_offset=offset, impl=Impl.REFERENCE)

    there = case.to(device_of(impl))
    tensors, offset_there = there.tensors(case.head_dim, dtype), there.key_offset
    lse = None
    with poisoned_buffers():
        if case.knows_lse:
            _, lse = biased_attention(*tensors, key_offset=offset_there, impl=impl)
        some = (*tensors[:2], there.groups)
        probs = token_probs(*some, key_offset=offset_there, lse=lse, impl=impl)
        peaks, positions = token_peaks(
            *some, case.frames, key_offset=offset_there, lse=lse, impl=impl
        )
    probs, peaks, positions = probs.cpu(), peaks.cpu(), positions.cpu()

    assert probs.dtype == peaks.dtype == torch.float32
    assert probs.is_contiguous()
    rounding = score_rounding(query, key, key_offset=offset)
    share = assert_within_budget(probs, plain, exact, floor=rounding)
    if not exact.numel():
        return share
    by_frame, plain_by_frame = (
        every.unflatten(-1, (case.frames, case.patches)) for every in (exact, plain)
    )
    # What stands at a position is what was said to; of equals within rounding any may be taken.
    at = positions.clamp_min(0)[..., None]
    taken, plain_taken = (every.gather(-1, at)[..., 0] for every in (by_frame, plain_by_frame))
    assert torch.equal(positions == -1, peaks == 0)
    return max(
        share,
        assert_within_budget(peaks, plain_by_frame.amax(-1), by_frame.amax(-1), floor=rounding),
        assert_within_budget(peaks, plain_taken, taken, floor=rounding),
    )


def check_products(case: Case, dtype: torch.dtype, impl: Impl) -> float:
    """``AttentionMap``: its products, twice, its transposed product and its log-sum-exp."""
    query, key, _ = case.tensors(case.head_dim, dtype)
    y, x, _ = case.tensors(case.columns, case.columns_dtype)
    exact = AttentionMap(query.double(), key.double(), impl=Impl.REFERENCE)
    plain = AttentionMap(query, key, impl=Impl.REFERENCE)

    there = case.to(device_of(impl))
    actual = AttentionMap(*there.tensors(case.head_dim, dtype)[:2], impl=impl)
    y_there, x_there, _ = there.tensors(case.columns, case.columns_dtype)
    with poisoned_buffers():
        if case.knows_lse:
            assert actual.lse.isfinite().all()
        products = [actual.apply(x_there) for _ in range(2)]
        transposed = actual.apply_transposed(y_there)

    assert all(product.is_contiguous() for product in (*products, transposed))
    rounding = score_rounding(query, key)
    floor = rounding * x.abs().max().item()
    exact_transposed = exact.apply_transposed(y.double())
    transposed_floor = rounding * exact.apply_transposed(y.double().abs()).max().item()
    return max(
        *(
            assert_within_budget(
                product.cpu(), plain.apply(x), exact.apply(x.double()), floor=floor
            )
            for product in products
        ),
        assert_within_budget(
            transposed.cpu(), plain.apply_transposed(y), exact_transposed, floor=transposed_floor
        ),
        assert_within_budget(actual.lse.cpu(), plain.lse, exact.lse, floor=rounding),
    )


CHECKS = {
    "biased_attention": check_attention,
    "token_probs": check_nouns,
    "attention_map": check_products,
}

"""Every operation against the float64 oracle, with the error budgets that the tests use."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import cycle
from math import gcd

import torch
from torch import Tensor

from benchmarks.kernels.bench import OUT_OF_TIME, Bench, Deadline, Row, reason, synchronize
from numina_kernels import (
    AttentionMap,
    KeyGroups,
    LayoutBias,
    biased_attention,
    biased_attention_with_probs,
    token_peaks,
    token_probs,
)
from numina_kernels.errors import NuminaError
from numina_kernels.impl import Impl
from numina_kernels.testing import (
    error_and_budget,
    make_groups,
    make_layout_bias,
    make_qkv,
    poisoned_buffers,
    score_rounding,
    strided_like,
)

LAYOUTS = ("contiguous", "heads first", "sliced", "expanded")
# Dtype and head dimension, in the order in which video models need them.
NUMBERS = (
    (torch.bfloat16, 128),
    (torch.bfloat16, 64),
    (torch.float16, 128),
    (torch.float32, 128),
    (torch.float16, 64),
    (torch.bfloat16, 96),
    (torch.float32, 64),
    (torch.bfloat16, 256),
)
TINY_NUMBERS = ((torch.bfloat16, 16), (torch.float32, 17))
# Batch, queries, keys, heads: several tiles with an incomplete one, one tile, and a single key.
SIZES = {"tiles": (2, 333, 583, 3), "one tile": (1, 300, 100, 4), "one key": (1, 5, 1, 2)}
TINY_SIZES = {"tiles": (1, 20, 135, 1), "one tile": (1, 9, 24, 2)}
COLUMNS = 16
# What of a case has a memory layout.
STRIDED = ("query", "key", "value", "x", "y")


@dataclass(frozen=True)
class Case:
    """Inputs of all operations, on the CPU: there the oracle runs.

    Attributes:
        query: ``[B, Q, H, D]``.
        key: ``[B, K, H, D]``.
        value: ``[B, K, H, D]``.
        groups: Noun of every key.
        bias: With every mode.
        offset: ``[1, K]`` float32, in nats; the last key has one.
        x: ``[B, K, H, C]``.
        y: ``[B, Q, H, C]``.
        layout: How all of them lie in memory; see ``strided_like``.
    """

    query: Tensor
    key: Tensor
    value: Tensor
    groups: KeyGroups
    bias: LayoutBias
    offset: Tensor
    x: Tensor
    y: Tensor
    layout: str

    @classmethod
    def make(
        cls,
        sizes: tuple[int, int, int, int],
        head_dim: int,
        dtype: torch.dtype,
        layout: str,
        seed: int,
    ) -> "Case":
        batch, queries, keys, heads = sizes
        tensors = make_qkv(*sizes, head_dim, dtype=dtype, seed=seed)
        columns = make_qkv(*sizes, COLUMNS, dtype=dtype, seed=seed + 1)
        query, key, value, y, x = (
            strided_like(tensor, layout) for tensor in (*tensors, *columns[:2])
        )
        groups = make_groups(batch, keys, 3, seed=seed)
        bias = make_layout_bias(groups, queries, batch=batch, heads=heads, seed=seed)
        offset = torch.zeros(1, keys)
        offset[:, -1] = 2.0
        return cls(query, key, value, groups, bias, offset, x, y, layout)

    def to(self, device: torch.device) -> "Case":
        """The same numbers in the same layout on ``device``."""
        # A copy to another device closes the gaps between rows.
        moved = {
            name: strided_like(getattr(self, name).to(device), self.layout) for name in STRIDED
        }
        groups, bias, offset = (each.to(device) for each in (self.groups, self.bias, self.offset))
        return replace(self, groups=groups, bias=bias, offset=offset, **moved)

    def double(self) -> "Case":
        """The same numbers in float64."""
        return replace(self, **{name: getattr(self, name).double() for name in STRIDED})

    @property
    def rounding(self) -> float:
        return score_rounding(self.query, self.key, self.bias, self.offset)


# The results of an operation, and what one rounding of a score may do to each.
Results = Callable[[Case, Impl], tuple[Tensor, ...]]
Floors = Callable[[Case], tuple[float, ...]]


def _lse(case: Case) -> Tensor:
    """Of the unbiased scores, by the oracle in float64."""
    wide = case.to(torch.device("cpu")).double()
    _, lse = biased_attention(
        wide.query, wide.key, wide.value, key_offset=wide.offset, impl=Impl.REFERENCE
    )
    return lse.to(torch.promote_types(case.query.dtype, torch.float32)).to(case.query.device)


def _map(case: Case, impl: Impl) -> AttentionMap:
    return AttentionMap(case.query, case.key, impl=impl)


def _reapplied(case: Case, impl: Impl) -> tuple[Tensor, ...]:
    attention = _map(case, impl)
    _ = attention.lse
    return (attention.apply(case.x),)


def _attended(case: Case) -> tuple[float, float]:
    return case.rounding * case.value.abs().max().item(), case.rounding


def _transposed_floor(case: Case) -> tuple[float, ...]:
    sums = _map(case.double(), Impl.REFERENCE).apply_transposed(case.y.double().abs())
    return (case.rounding * sums.max().item(),)


def _peaks(case: Case, impl: Impl) -> tuple[Tensor, ...]:
    frames = gcd(case.query.shape[1], 3)
    return token_peaks(
        case.query, case.key, case.groups, frames, key_offset=case.offset, impl=impl
    )[:1]


OPERATIONS: dict[str, tuple[Results, Floors]] = {
    "biased_attention, no bias": (
        lambda c, impl: biased_attention(c.query, c.key, c.value, impl=impl),
        _attended,
    ),
    "biased_attention": (
        lambda c, impl: biased_attention(
            c.query, c.key, c.value, c.bias, key_offset=c.offset, impl=impl
        ),
        _attended,
    ),
    "biased_attention_with_probs": (
        lambda c, impl: biased_attention_with_probs(
            c.query, c.key, c.value, c.groups, c.bias, key_offset=c.offset, impl=impl
        ),
        lambda c: (*_attended(c), c.rounding),
    ),
    "token_probs": (
        lambda c, impl: (token_probs(c.query, c.key, c.groups, key_offset=c.offset, impl=impl),),
        lambda c: (c.rounding,),
    ),
    "token_probs, known lse": (
        lambda c, impl: (
            token_probs(c.query, c.key, c.groups, key_offset=c.offset, lse=_lse(c), impl=impl),
        ),
        lambda c: (c.rounding,),
    ),
    "token_peaks": (_peaks, lambda c: (c.rounding,)),
    "attention_map_lse": (
        lambda c, impl: (_map(c, impl).lse,),
        lambda c: (c.rounding,),
    ),
    "attention_map_apply": (
        lambda c, impl: (_map(c, impl).apply(c.x),),
        lambda c: (c.rounding * c.x.abs().max().item(),),
    ),
    "attention_map_reapply": (
        _reapplied,
        lambda c: (c.rounding * c.x.abs().max().item(),),
    ),
    "attention_map_apply_transposed": (
        lambda c, impl: (_map(c, impl).apply_transposed(c.y),),
        _transposed_floor,
    ),
}


def correctness(bench: Bench, deadline: Deadline) -> Iterator[Row]:
    """All operations in all dtypes, head dimensions, sizes and memory layouts."""
    layouts = cycle(LAYOUTS)
    seed = bench.seed
    for dtype, head_dim in TINY_NUMBERS if bench.tiny else NUMBERS:
        for size, sizes in (TINY_SIZES if bench.tiny else SIZES).items():
            layout, seed = next(layouts), seed + 1
            what = {"dtype": str(dtype), "head_dim": head_dim, "size": size, "layout": layout}
            if deadline.over:
                yield what | {"skipped": OUT_OF_TIME}
                continue
            case = Case.make(sizes, head_dim, dtype, layout, seed)
            for name in OPERATIONS:
                yield {"operation": name} | what | {"seed": seed} | _checked(name, case, bench)


def _checked(name: str, case: Case, bench: Bench) -> Row:
    run, floors = OPERATIONS[name]
    exact, plain = run(case.double(), Impl.REFERENCE), run(case, Impl.REFERENCE)
    there = case.to(bench.device)
    try:
        # A kernel that forgets to write a number leaves NaN.
        with poisoned_buffers():
            actual = run(there, bench.impl)
            synchronize(bench.device)
    # What a compiler or a device may raise is not ours to list.
    except (NuminaError, RuntimeError, ValueError) as error:
        return {"passed": False, "fault": reason(error)}
    found = []
    try:
        for got, eager, true, floor in zip(actual, plain, exact, floors(case), strict=True):
            found.append(error_and_budget(got.cpu(), eager, true, floor=floor))
    except AssertionError as error:
        return {"passed": False, "fault": reason(error)}
    return {
        "errors": [error for error, _ in found],
        "budgets": [budget for _, budget in found],
        "passed": all(error <= budget for error, budget in found),
    }

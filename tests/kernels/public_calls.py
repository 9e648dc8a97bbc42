"""Every public operation as one call on the same input, for what all of them owe alike."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
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
from numina_kernels.testing import make_groups, make_layout_bias, make_qkv


@dataclass(frozen=True, eq=False)
class Inputs:
    """What the operations take.

    Attributes:
        query: ``[B, Q, H, D]``.
        key: ``[B, K, H, D]``.
        value: ``[B, K, H, D]``.
        bias: Bias with nouns of its own.
        groups: Noun of every key.
        key_offset: ``[1, K]``.
        x: Columns that a map multiplies, ``[B, K, H, C]``.
        y: Columns that its transpose multiplies, ``[B, Q, H, C]``.
    """

    query: Tensor
    key: Tensor
    value: Tensor
    bias: LayoutBias
    groups: KeyGroups
    key_offset: Tensor
    x: Tensor
    y: Tensor

    def to(self, dtype: torch.dtype) -> "Inputs":
        """Query, key and value in ``dtype``; columns have a dtype of their own."""
        tensors = (self.query.to(dtype), self.key.to(dtype), self.value.to(dtype))
        return replace(self, query=tensors[0], key=tensors[1], value=tensors[2])


def make_inputs(
    batch: int = 2,
    queries: int = 6,
    keys: int = 9,
    heads: int = 2,
    head_dim: int = 8,
    *,
    dtype: torch.dtype = torch.float32,
) -> Inputs:
    """Random inputs of any size, 0 included; the queries are ``FRAMES`` frames."""
    query, key, value = make_qkv(batch, queries, keys, heads, head_dim, dtype=dtype)
    y, x, _ = make_qkv(batch, queries, keys, heads, 3, dtype=torch.float32, seed=1)
    groups = make_groups(1, keys, 2)
    offset = torch.linspace(-1.0, 1.0, keys)[None]
    return Inputs(query, key, value, make_layout_bias(groups, queries), groups, offset, x, y)


FRAMES = 2
ATTENTION, SCORES = ("query", "key", "value"), ("query", "key")
Call = Callable[[Inputs, Impl | None], tuple[Tensor, ...]]


def _lse(i: Inputs, impl: Impl | None) -> Tensor:
    return biased_attention(i.query, i.key, i.value, key_offset=i.key_offset, impl=impl)[1]


def _token_probs(i: Inputs, impl: Impl | None, lse: Tensor | None = None) -> tuple[Tensor, ...]:
    return (token_probs(i.query, i.key, i.groups, key_offset=i.key_offset, lse=lse, impl=impl),)


def _token_peaks(i: Inputs, impl: Impl | None, lse: Tensor | None = None) -> tuple[Tensor, ...]:
    return token_peaks(
        i.query, i.key, i.groups, FRAMES, key_offset=i.key_offset, lse=lse, impl=impl
    )


def _products(i: Inputs, impl: Impl | None) -> tuple[Tensor, ...]:
    attention = AttentionMap(i.query, i.key, impl=impl)
    # The first product finds the log-sum-exp, the second one knows it.
    return attention.apply(i.x), attention.apply(i.x), attention.lse


CALLS: dict[str, Call] = {
    "biased_attention": lambda i, impl: biased_attention(
        i.query, i.key, i.value, i.bias, key_offset=i.key_offset, impl=impl
    ),
    "biased_attention without a bias": lambda i, impl: biased_attention(
        i.query, i.key, i.value, impl=impl
    ),
    "biased_attention_with_probs": lambda i, impl: biased_attention_with_probs(
        i.query, i.key, i.value, i.groups, i.bias, key_offset=i.key_offset, impl=impl
    ),
    "token_probs": _token_probs,
    "token_probs with lse": lambda i, impl: _token_probs(i, impl, _lse(i, impl)),
    "token_peaks": _token_peaks,
    "token_peaks with lse": lambda i, impl: _token_peaks(i, impl, _lse(i, impl)),
    "AttentionMap.lse": lambda i, impl: (AttentionMap(i.query, i.key, impl=impl).lse,),
    "AttentionMap.apply": _products,
    "AttentionMap.apply_transposed": lambda i, impl: (
        AttentionMap(i.query, i.key, impl=impl).apply_transposed(i.y),
    ),
}

# The tensors [B, S, H, D] that each of them reads.
READS: dict[str, tuple[str, ...]] = {
    "biased_attention": ATTENTION,
    "biased_attention without a bias": ATTENTION,
    "biased_attention_with_probs": ATTENTION,
    "token_probs": SCORES,
    "token_probs with lse": SCORES,
    "token_peaks": SCORES,
    "token_peaks with lse": SCORES,
    "AttentionMap.lse": SCORES,
    "AttentionMap.apply": (*SCORES, "x"),
    "AttentionMap.apply_transposed": (*SCORES, "y"),
}

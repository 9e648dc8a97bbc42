"""Attention that sees a text, under the bias of a layout: what all providers compute."""

from dataclasses import dataclass, replace
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from numina_kernels import BiasMode, KeyGroups, LayoutBias, biased_attention, fold_padding
from numina_kernels.impl import Impl
from numina_kernels.testing import make_layout_bias, make_qkv

# Three nouns of a prompt, with numerals: "two red cats, three dogs and a bird".
NOUNS = ((2, 3, 4), (6, 7), (10,))


@dataclass(frozen=True)
class TextAttention:
    """Queries, keys with three nouns, and what a layout adds to their scores.

    Every class of the layout adds, because that alone a dense bias can say as well.

    Attributes:
        query: ``[1, Q, H, D]``.
        key: ``[1, K, H, D]``; equal from the first padded key on, where there is padding.
        value: ``[1, K, H, D]``, likewise.
        groups: Noun of every key.
        bias: Of the layout, in nats; the same for every head.
    """

    query: Tensor
    key: Tensor
    value: Tensor
    groups: KeyGroups
    bias: LayoutBias

    @classmethod
    def make(
        cls,
        queries: int,
        keys: int,
        heads: int,
        head_dim: int,
        *,
        real_keys: int | None = None,
        dtype: torch.dtype,
        device: torch.device | str = "cpu",
        seed: int = 0,
    ) -> "TextAttention":
        """Random inputs; from ``real_keys`` on all keys are the same padding."""
        tensors = make_qkv(1, queries, keys, heads, head_dim, dtype=dtype, device=device, seed=seed)
        query, key, value = tensors
        if real_keys is not None:
            key[:, real_keys:], value[:, real_keys:] = key[:, -1:], value[:, -1:]
        groups = KeyGroups.from_positions(NOUNS, keys, device)
        bias = make_layout_bias(groups, queries, classes=3, modes=(BiasMode.ADD,), seed=seed)
        return cls(query, key, value, groups, bias)

    @cached_property
    def dense(self) -> Tensor:
        """The bias written out, ``[1, 1, Q, K]`` in the dtype of the query."""
        shape = (1, 1, self.query.shape[1], self.key.shape[1])
        return self.bias.materialize(torch.zeros(shape, device=self.query.device)).to(
            self.query.dtype
        )

    def folded(self, real_keys: int) -> "TextAttention":
        """The same attention over the keys that are left once the padding is folded."""
        folded = fold_padding(self.key, self.value, real_keys)
        groups, bias = self.groups.fold([real_keys]), self.bias
        parts = (bias.labels, groups, bias.table, bias.mode, bias.strength, bias.weight)
        folded_bias = LayoutBias.trusted(*parts, folded.key_offset)
        return TextAttention(self.query, folded.key, folded.value, groups, folded_bias)

    def rows(self, chosen: Tensor) -> "TextAttention":
        """The attention of some queries alone, ``chosen [Q']`` int64."""
        bias = self.bias
        cut = LayoutBias.trusted(
            bias.labels.index_select(-1, chosen), bias.groups, bias.table, bias.mode,
            bias.strength, bias.weight, bias.key_offset,
        )  # fmt: skip
        return replace(self, query=self.query.index_select(1, chosen), bias=cut)

    def exact(self, *, biased: bool) -> Tensor:
        """The output in float64, by the oracle. The bias is not rounded to any dtype."""
        tensors = (tensor.double() for tensor in (self.query, self.key, self.value))
        return self._reference(*tensors, biased=biased)

    def plain_torch(self, *, biased: bool) -> Tensor:
        """The output by the oracle in the dtype of the inputs: what an error is measured by."""
        return self._reference(self.query, self.key, self.value, biased=biased)

    def plain_torch_dense(self) -> Tensor:
        """The same with the dense bias, whose own rounding is part of what it costs."""
        tensors = (tensor.transpose(1, 2) for tensor in (self.query, self.key, self.value))
        with sdpa_kernel(SDPBackend.MATH):
            output = F.scaled_dot_product_attention(*tensors, attn_mask=self.dense)
        return output.transpose(1, 2)

    def _reference(self, query: Tensor, key: Tensor, value: Tensor, *, biased: bool) -> Tensor:
        bias = self.bias if biased else None
        return biased_attention(query, key, value, bias, impl=Impl.REFERENCE)[0]


def some_rows(queries: int, most: int, device: torch.device | str = "cpu") -> Tensor:
    """Positions spread over all queries, the first and the last among them, ``[Q']`` int64."""
    return torch.linspace(0, queries - 1, min(queries, most), device=device).long()

"""Biased attention in C++."""

import torch
from torch import Tensor

from .. import eager
from ..key_groups import KeyGroups
from ..layout_bias import LayoutBias
from .extension import OPERATIONS, instruction_set
from .routes import is_compiled


def biased_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: LayoutBias | None,
    key_offset: Tensor | None,
    scale: float,
) -> tuple[Tensor, Tensor]:
    if not is_compiled(query):
        return eager.biased_attention(query, key, value, bias, key_offset, scale)
    return attend(query, key, value, None, None, bias, key_offset, scale)


def biased_attention_with_probs(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    groups: KeyGroups,
    bias: LayoutBias | None,
    key_offset: Tensor | None,
    scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    if not is_compiled(query):
        return eager.biased_attention_with_probs(query, key, value, groups, bias, key_offset, scale)
    batch, queries, heads, _ = query.shape
    probs = query.new_empty((batch, heads, groups.count, queries), dtype=torch.float32)
    output, lse = attend(query, key, value, groups.index, probs, bias, key_offset, scale)
    return output, lse, probs


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    group_index: Tensor | None,
    probs: Tensor | None,
    bias: LayoutBias | None,
    key_offset: Tensor | None,
    scale: float,
) -> tuple[Tensor, Tensor]:
    """Output and log-sum-exp; fills ``probs`` of the nouns in ``group_index``."""
    batch, queries, heads, _ = query.shape
    output = value.new_empty((batch, queries, heads, value.shape[-1]))
    lse = query.new_empty((batch, heads, queries), dtype=torch.float32)
    parts: tuple[Tensor | None, ...] = (None,) * 6
    if bias is not None:
        parts = (
            bias.labels, bias.groups.index, bias.table, bias.mode, bias.weight, bias.strength,
        )  # fmt: skip
    OPERATIONS.biased_attention(
        query, key, value, group_index, *parts, key_offset, scale, instruction_set(),
        output, lse, probs,
    )  # fmt: skip
    return output, lse

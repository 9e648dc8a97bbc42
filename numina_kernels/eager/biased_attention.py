"""Biased attention, tile by tile."""

import torch
from torch import Tensor

from ..key_groups import KeyGroups
from ..layout_bias import LayoutBias
from .column_bias import ColumnBias
from .tiles import exponentiate_, head_chunks, heads_first, heads_last, score_tiles
from .token_probs import one_hot_owners


def biased_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: LayoutBias | None,
    key_offset: Tensor | None,
    scale: float,
) -> tuple[Tensor, Tensor]:
    output, lse, _ = _attend(query, key, value, None, bias, key_offset, scale)
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
    return _attend(query, key, value, groups, bias, key_offset, scale)


def _attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    groups: KeyGroups | None,
    bias: LayoutBias | None,
    key_offset: Tensor | None,
    scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Output, log-sum-exp and the probabilities of the nouns, of which there may be none."""
    batch, queries, heads, _ = query.shape
    dtype = torch.promote_types(query.dtype, torch.float32)
    output = value.new_empty((batch, queries, heads, value.shape[-1]))
    lse = query.new_empty((batch, heads, queries), dtype=dtype)
    count = 0 if groups is None else groups.count
    probs = query.new_empty((batch, heads, count, queries), dtype=dtype)

    for chunk in head_chunks(query, key.shape[1]):
        values = heads_first(value[:, :, chunk], dtype)  # [B * H, K, C]
        columns = None
        if bias is not None and bias.groups.columns.numel():
            columns = ColumnBias(bias, chunk, dtype)
        tiles = score_tiles(query[:, :, chunk], key[:, :, chunk], scale, key_offset, columns)
        for rows, scores in tiles:
            row_lse, total = exponentiate_(scores)  # [B * H, 1, T]
            lse[:, chunk, rows] = row_lse.view(batch, -1, scores.shape[-1])
            attended = torch.bmm(scores.mT, values).div_(total.mT)  # [B * H, T, C]
            output[:, rows, chunk] = heads_last(attended, batch)
            if groups is not None:
                owned = scores.unflatten(0, (batch, -1)).index_select(-2, groups.columns)
                sums = one_hot_owners(groups, dtype) @ owned  # [B, H, G, T]
                probs[:, chunk, :, rows] = sums / total.unflatten(0, (batch, -1))
    return output, lse, probs

"""Products with an attention map, tile by tile."""

import torch
from torch import Tensor

from .biased_attention import biased_attention
from .tiles import (
    exponentiate_,
    exponentiate_from_,
    head_chunks,
    heads_first,
    heads_last,
    score_tiles,
)


def attention_map_lse(query: Tensor, key: Tensor, scale: float) -> Tensor:
    batch, queries, heads, _ = query.shape
    dtype = torch.promote_types(query.dtype, torch.float32)
    lse = query.new_empty((batch, heads, queries), dtype=dtype)
    for chunk in head_chunks(query, key.shape[1]):
        for rows, scores in score_tiles(query[:, :, chunk], key[:, :, chunk], scale):
            row_lse, _ = exponentiate_(scores)
            lse[:, chunk, rows] = row_lse.view(batch, -1, scores.shape[-1])
    return lse


def attention_map_apply(
    query: Tensor, key: Tensor, x: Tensor, scale: float
) -> tuple[Tensor, Tensor]:
    return biased_attention(query, key, x, None, None, scale)


def attention_map_reapply(
    query: Tensor, key: Tensor, x: Tensor, lse: Tensor, scale: float
) -> Tensor:
    batch, queries, heads, _ = query.shape
    output = x.new_empty((batch, queries, heads, x.shape[-1]))
    for chunk in head_chunks(query, key.shape[1]):
        row_lse = lse[:, chunk].flatten(0, 1).unsqueeze(1)  # [B * H, 1, Q]
        columns = heads_first(x[:, :, chunk], lse.dtype)
        for rows, scores in score_tiles(query[:, :, chunk], key[:, :, chunk], scale):
            probs = exponentiate_from_(scores, row_lse[..., rows])
            output[:, rows, chunk] = heads_last(torch.bmm(probs.mT, columns), batch)
    return output


def attention_map_apply_transposed(
    query: Tensor, key: Tensor, y: Tensor, lse: Tensor, scale: float
) -> Tensor:
    batch, _, heads, _ = query.shape
    output = y.new_empty((batch, key.shape[1], heads, y.shape[-1]))
    for chunk in head_chunks(query, key.shape[1]):
        row_lse = lse[:, chunk].flatten(0, 1).unsqueeze(1)  # [B * H, 1, Q]
        columns = heads_first(y[:, :, chunk], lse.dtype)  # [B * H, Q, C]
        total = columns.new_zeros((columns.shape[0], key.shape[1], columns.shape[2]))
        for rows, scores in score_tiles(query[:, :, chunk], key[:, :, chunk], scale):
            probs = exponentiate_from_(scores, row_lse[..., rows])
            total.baddbmm_(probs, columns[:, rows])
        output[:, :, chunk] = heads_last(total, batch)
    return output

"""The probabilities of the nouns, tile by tile."""

import torch
from torch import Tensor

from ..key_groups import KeyGroups
from .tiles import exponentiate_, exponentiate_from_, head_chunks, score_tiles


def token_probs(
    query: Tensor,
    key: Tensor,
    groups: KeyGroups,
    key_offset: Tensor | None,
    lse: Tensor | None,
    scale: float,
) -> Tensor:
    batch, queries, heads, _ = query.shape
    dtype = torch.promote_types(query.dtype, torch.float32)
    probs = query.new_empty((batch, heads, groups.count, queries), dtype=dtype)
    owners = one_hot_owners(groups, dtype)
    if lse is not None:
        # The rows are normalised already, so only the keys of nouns are needed.
        key = key.index_select(1, groups.columns)
        key_offset = None if key_offset is None else key_offset.index_select(1, groups.columns)
    if key.shape[1] == 0:
        return probs.zero_()

    for chunk in head_chunks(query, key.shape[1]):
        for rows, scores in score_tiles(query[:, :, chunk], key[:, :, chunk], scale, key_offset):
            tile = scores.unflatten(0, (batch, -1))  # [B, H, K, T]
            if lse is None:
                _, total = exponentiate_(tile)
                tile = tile.index_select(-2, groups.columns) / total
            else:
                exponentiate_from_(tile, lse[:, chunk, None, rows])
            probs[:, chunk, :, rows] = owners @ tile
    return probs


def one_hot_owners(groups: KeyGroups, dtype: torch.dtype) -> Tensor:
    """Which noun owns each column of ``groups``, ``[B|1, 1, G, N]``, 1 or 0."""
    owner = groups.index.index_select(1, groups.columns)  # [B|1, N]
    nouns = torch.arange(groups.count, device=owner.device)
    return (owner[:, None, None, :] == nouns[:, None]).to(dtype)

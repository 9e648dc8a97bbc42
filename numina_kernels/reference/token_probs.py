"""Oracle of the noun probabilities: materialises every probability."""

import torch
from torch import Tensor

from ..key_groups import KeyGroups
from .scores import known_probs, materialized_scores, probs_of


def token_probs(
    query: Tensor,
    key: Tensor,
    groups: KeyGroups,
    key_offset: Tensor | None,
    lse: Tensor | None,
    scale: float,
) -> Tensor:
    scores = materialized_scores(query, key, scale, key_offset)
    return sum_by_noun(probs_of(scores) if lse is None else known_probs(scores, lse), groups)


def sum_by_noun(probs: Tensor, groups: KeyGroups) -> Tensor:
    """``[B, H, Q, K]`` probabilities to ``[B, H, G, Q]``."""
    nouns = torch.arange(groups.count, device=probs.device)
    owned = groups.index[:, None, :] == nouns[None, :, None]  # [B|1, G, K]
    picked = torch.where(owned[:, None, :, None], probs[:, :, None], 0.0)  # [B, H, G, Q, K]
    return picked.sum(dim=-1)

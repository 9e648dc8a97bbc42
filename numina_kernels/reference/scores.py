"""All scores of an attention, and a softmax that knows rows without a key."""

import torch
from torch import Tensor

from ..layout_bias import LayoutBias


def materialized_scores(
    query: Tensor,
    key: Tensor,
    scale: float,
    key_offset: Tensor | None = None,
    bias: LayoutBias | None = None,
) -> Tensor:
    """Scores ``[B, H, Q, K]``, at least float32, with offset and bias."""
    dtype = torch.promote_types(query.dtype, torch.float32)
    q, k = query.to(dtype).transpose(1, 2), key.to(dtype).transpose(1, 2)  # [B, H, S, D]
    scores = q @ k.mT * scale
    if key_offset is not None:
        scores = scores + key_offset[:, None, None].to(dtype)
    return scores if bias is None else bias.materialize(scores)


def probs_of(scores: Tensor) -> Tensor:
    """Softmax over the keys; zero, not NaN, for a row whose keys are all removed."""
    removed = (scores == -torch.inf).all(dim=-1, keepdim=True)
    return scores.softmax(dim=-1).masked_fill(removed, 0.0)


def known_probs(scores: Tensor, lse: Tensor) -> Tensor:
    """Softmax of scores whose log-sum-exp ``[B, H, Q]`` is known."""
    # A row without a key has -inf for both, and their difference would be NaN. Rounding of a huge
    # log-sum-exp is many nats, and a probability is at most 1 all the same.
    pivot = lse.clamp_min(torch.finfo(lse.dtype).min)[..., None]
    return (scores - pivot).clamp_max(0.0).exp()

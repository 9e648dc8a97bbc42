"""Oracle of biased attention: materialises every score."""

from torch import Tensor

from ..key_groups import KeyGroups
from ..layout_bias import LayoutBias
from .scores import materialized_scores, probs_of
from .token_probs import sum_by_noun


def biased_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: LayoutBias | None,
    key_offset: Tensor | None,
    scale: float,
) -> tuple[Tensor, Tensor]:
    scores = materialized_scores(query, key, scale, key_offset, bias)
    output = probs_of(scores) @ value.to(scores.dtype).transpose(1, 2)
    return output.transpose(1, 2).to(value.dtype).contiguous(), scores.logsumexp(dim=-1)


def biased_attention_with_probs(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    groups: KeyGroups,
    bias: LayoutBias | None,
    key_offset: Tensor | None,
    scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    output, lse = biased_attention(query, key, value, bias, key_offset, scale)
    probs = probs_of(materialized_scores(query, key, scale, key_offset, bias))
    return output, lse, sum_by_noun(probs, groups)

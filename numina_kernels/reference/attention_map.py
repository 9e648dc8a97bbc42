"""Oracle of the attention map: stores it."""

from torch import Tensor

from .scores import known_probs, materialized_scores, probs_of


def attention_map_lse(query: Tensor, key: Tensor, scale: float) -> Tensor:
    return materialized_scores(query, key, scale).logsumexp(dim=-1)


def attention_map_apply(
    query: Tensor, key: Tensor, x: Tensor, scale: float
) -> tuple[Tensor, Tensor]:
    scores = materialized_scores(query, key, scale)
    return _product(probs_of(scores), x), scores.logsumexp(dim=-1)


def attention_map_reapply(
    query: Tensor, key: Tensor, x: Tensor, lse: Tensor, scale: float
) -> Tensor:
    return _product(known_probs(materialized_scores(query, key, scale), lse), x)


def attention_map_apply_transposed(
    query: Tensor, key: Tensor, y: Tensor, lse: Tensor, scale: float
) -> Tensor:
    return _product(known_probs(materialized_scores(query, key, scale), lse).mT, y)


def _product(probs: Tensor, columns: Tensor) -> Tensor:
    product = probs @ columns.to(probs.dtype).transpose(1, 2)
    return product.transpose(1, 2).to(columns.dtype).contiguous()

"""The probabilities of the nouns in C++."""

import torch
from torch import Tensor

from .. import eager
from ..key_groups import KeyGroups
from .extension import OPERATIONS, instruction_set
from .routes import is_compiled


def token_probs(
    query: Tensor,
    key: Tensor,
    groups: KeyGroups,
    key_offset: Tensor | None,
    lse: Tensor | None,
    scale: float,
) -> Tensor:
    if not is_compiled(query):
        return eager.token_probs(query, key, groups, key_offset, lse, scale)
    batch, queries, heads, _ = query.shape
    probs = query.new_empty((batch, heads, groups.count, queries), dtype=torch.float32)
    index = groups.index
    if lse is not None:
        # The rows are normalised already, so only the keys of nouns are needed.
        lse = lse.float()
        key, index = key.index_select(1, groups.columns), index.index_select(1, groups.columns)
        key_offset = None if key_offset is None else key_offset.index_select(1, groups.columns)
    if key.shape[1] == 0:
        return probs.zero_()
    OPERATIONS.token_probs(query, key, index, key_offset, lse, scale, instruction_set(), probs)
    return probs

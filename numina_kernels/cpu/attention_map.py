"""Products with an attention map in C++."""

import torch
from torch import Tensor

from .. import eager
from .biased_attention import attend
from .extension import OPERATIONS, instruction_set
from .routes import compiled_columns, is_compiled


def attention_map_lse(query: Tensor, key: Tensor, scale: float) -> Tensor:
    if not is_compiled(query):
        return eager.attention_map_lse(query, key, scale)
    batch, queries, heads, _ = query.shape
    lse = query.new_empty((batch, heads, queries), dtype=torch.float32)
    OPERATIONS.attention_map_lse(query, key, scale, instruction_set(), lse)
    return lse


def attention_map_apply(
    query: Tensor, key: Tensor, x: Tensor, scale: float
) -> tuple[Tensor, Tensor]:
    if not is_compiled(query):
        return eager.attention_map_apply(query, key, x, scale)
    output, lse = attend(query, key, compiled_columns(x), None, None, None, None, scale)
    return output.to(x.dtype), lse


def attention_map_reapply(
    query: Tensor, key: Tensor, x: Tensor, lse: Tensor, scale: float
) -> Tensor:
    if not is_compiled(query):
        return eager.attention_map_reapply(query, key, x, lse, scale)
    columns = compiled_columns(x)
    output = columns.new_empty((*query.shape[:3], x.shape[-1]))
    OPERATIONS.attention_map_reapply(
        query, key, columns, lse.float(), scale, instruction_set(), output
    )
    return output.to(x.dtype)


def attention_map_apply_transposed(
    query: Tensor, key: Tensor, y: Tensor, lse: Tensor, scale: float
) -> Tensor:
    if not is_compiled(query):
        return eager.attention_map_apply_transposed(query, key, y, lse, scale)
    columns = compiled_columns(y)
    output = columns.new_empty((*key.shape[:3], y.shape[-1]))
    OPERATIONS.attention_map_apply_transposed(
        query, key, columns, lse.float(), scale, instruction_set(), output
    )
    return output.to(y.dtype)

"""The calls of the Triton implementation that are compiled for a check, on tensors without memory.

Shapes are those of Wan: many queries, 512 text keys or a folded prompt, three nouns.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from numina_kernels import KeyGroups, LayoutBias
from numina_kernels import triton as room

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
QUERIES, KEYS, FOLDED, HEADS = 32_768, 512, 64, 16
FRAMES, NOUNS, CLASSES, TOKENS, COLUMNS = 16, 3, 4, 6, 16


@dataclass(frozen=True)
class Call:
    """One operation and what it is asked for.

    Attributes:
        name: How the table calls it.
        run: Calls it, with a dtype and a head dimension.
        is_plain: Whether it is the attention without a bias that others are compared with.
        has_plain: Whether it is compared with that.
    """

    name: str
    run: Callable[[torch.dtype, int], Any]
    is_plain: bool = False
    has_plain: bool = False


def _nothing(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.empty(shape, dtype=dtype, device="meta")


def _qkv(dtype: torch.dtype, head_dim: int, keys: int = KEYS) -> tuple[Tensor, Tensor, Tensor]:
    key = _nothing(1, keys, HEADS, head_dim, dtype=dtype)
    return _nothing(1, QUERIES, HEADS, head_dim, dtype=dtype), key, key


def _groups(keys: int = KEYS) -> KeyGroups:
    columns = _nothing(TOKENS, dtype=torch.int64)
    return KeyGroups.trusted(_nothing(1, keys, dtype=torch.int8), NOUNS, columns)


def _bias(keys: int = KEYS, *, lift: bool = True) -> LayoutBias:
    return LayoutBias.trusted(
        labels=_nothing(1, NOUNS, QUERIES, dtype=torch.int8),
        groups=_groups(keys),
        table=_nothing(1, HEADS, NOUNS, CLASSES),
        mode=_nothing(1, NOUNS, CLASSES, dtype=torch.int8),
        strength=_nothing(),
        weight=_nothing(1, NOUNS, CLASSES) if lift else None,
    )


def _columns(dtype: torch.dtype, length: int) -> Tensor:
    return _nothing(1, length, HEADS, COLUMNS, dtype=dtype)


def _lse() -> Tensor:
    return _nothing(1, HEADS, QUERIES)


def _attend(bias: LayoutBias | None, offset: bool = False) -> Callable:
    return lambda dtype, head_dim: room.biased_attention(
        *_qkv(dtype, head_dim), bias, _nothing(1, KEYS) if offset else None, 0.1
    )


def _attend_with_probs(bias: LayoutBias | None, offset: bool = False) -> Callable:
    return lambda dtype, head_dim: room.biased_attention_with_probs(
        *_qkv(dtype, head_dim), _groups(), bias, _nothing(1, KEYS) if offset else None, 0.1
    )


def _attend_folded(dtype: torch.dtype, head_dim: int) -> Any:
    return room.biased_attention(
        *_qkv(dtype, head_dim, FOLDED), _bias(FOLDED), _nothing(1, FOLDED), 0.1
    )


def _attend_folded_with_probs(keys: int) -> Callable:
    return lambda dtype, head_dim: room.biased_attention_with_probs(
        *_qkv(dtype, head_dim, keys), _groups(keys), _bias(keys), _nothing(1, keys), 0.1
    )


def _apply(dtype: torch.dtype, head_dim: int) -> Any:
    query, key, _ = _qkv(dtype, head_dim)
    return room.attention_map_apply(query, key, _columns(dtype, KEYS), 0.1)


def _reapply(columns: torch.dtype | None = None) -> Callable:
    def run(dtype: torch.dtype, head_dim: int) -> Any:
        query, key, _ = _qkv(dtype, head_dim)
        return room.attention_map_reapply(query, key, _columns(columns or dtype, KEYS), _lse(), 0.1)

    return run


def _apply_transposed(dtype: torch.dtype, head_dim: int) -> Any:
    query, key, _ = _qkv(dtype, head_dim)
    return room.attention_map_apply_transposed(query, key, _columns(dtype, QUERIES), _lse(), 0.1)


def _map_lse(dtype: torch.dtype, head_dim: int) -> Any:
    return room.attention_map_lse(*_qkv(dtype, head_dim)[:2], 0.1)


def _token_probs(known: bool) -> Callable:
    return lambda dtype, head_dim: room.token_probs(
        *_qkv(dtype, head_dim)[:2], _groups(), None, _lse() if known else None, 0.1
    )


def _token_peaks(dtype: torch.dtype, head_dim: int) -> Any:
    return room.token_peaks(
        *_qkv(dtype, head_dim)[:2], _groups(), FRAMES, _nothing(1, KEYS), _lse(), 0.1
    )


CALLS = (
    Call("attention", _attend(None), is_plain=True, has_plain=True),
    Call("biased_attention", _attend(_bias(lift=False)), has_plain=True),
    Call("biased_attention, lift, offset", _attend(_bias(), True), has_plain=True),
    Call("biased_attention_with_probs", _attend_with_probs(_bias(), True), has_plain=True),
    Call("biased_attention, folded", _attend_folded, has_plain=True),
    Call("biased_attention_with_probs, 64 keys", _attend_folded_with_probs(64), has_plain=True),
    Call("biased_attention_with_probs, 128 keys", _attend_folded_with_probs(128), has_plain=True),
    Call("token_probs", _token_probs(False)),
    Call("token_probs from lse", _token_probs(True)),
    Call("token_peaks from lse", _token_peaks),
    Call("attention_map_lse", _map_lse),
    Call("attention_map_apply", _apply),
    Call("attention_map_reapply", _reapply()),
    Call("attention_map_reapply, fp32 columns", _reapply(torch.float32)),
    Call("attention_map_apply_transposed", _apply_transposed),
)

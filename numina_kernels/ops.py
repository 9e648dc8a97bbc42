"""The operations as torch sees them: schemas, fakes, autocast, and the way to an implementation.

Each operation has one schema of fixed arity, so that a compiled model keeps one graph. A bias
travels as its tensors, strength included: a new strength is a new value, not a new graph. Outputs
are contiguous whatever the strides of the inputs, and no input is written to.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .errors import InferenceOnlyError
from .impl import Impl, resolve, room
from .key_groups import KeyGroups
from .layout_bias import LayoutBias

_LIBRARY = torch.library.Library("numina", "FRAGMENT")
_BIAS = (
    "Tensor? labels, Tensor? index, Tensor? columns, Tensor? table, Tensor? mode, "
    "Tensor? weight, Tensor? strength"
)
_GROUPS = "Tensor group_index, Tensor group_columns, SymInt group_count"
_BEST = ""
# Devices whose autocast the operations heed, with their dispatch keys.
AUTOCAST_KEYS = {"cpu": "AutocastCPU", "cuda": "AutocastCUDA"}


def bias_arguments(bias: LayoutBias | None) -> tuple[Tensor | None, ...]:
    """The tensors of a bias in the order of the schemas."""
    if bias is None:
        return (None,) * 7
    groups = bias.groups
    return (
        bias.labels,
        groups.index,
        groups.columns,
        bias.table,
        bias.mode,
        bias.weight,
        bias.strength,
    )


def group_arguments(groups: KeyGroups) -> tuple[Tensor, Tensor, int]:
    """The parts of groups in the order of the schemas."""
    return groups.index, groups.columns, groups.count


def impl_argument(impl: Impl | str | None) -> str:
    """``impl`` as a schema spells it. It is resolved below, where the device is known."""
    return _BEST if impl is None else str(impl)


def _operation(name: str, schema: str, fake: Callable, cast_by_autocast: int) -> Callable:
    """Register the decorated kernel; autocast casts its first ``cast_by_autocast`` tensors."""

    def register(kernel: Callable) -> Callable:
        _LIBRARY.define(f"{name}{schema}")
        operation = getattr(torch.ops.numina, name).default
        _LIBRARY.impl(name, kernel, "CompositeExplicitAutograd")
        _LIBRARY.impl(name, _refusing_gradients(operation, name), "Autograd")
        for device_type, key in AUTOCAST_KEYS.items():
            _LIBRARY.impl(name, _autocast(operation, cast_by_autocast, device_type), key)
        torch.library.register_fake(f"numina::{name}", fake, lib=_LIBRARY)
        return kernel

    return register


def _refusing_gradients(operation: Callable, name: str) -> Callable:
    def kernel(*arguments: Any) -> Any:
        if torch.is_grad_enabled() and any(
            isinstance(argument, Tensor) and argument.requires_grad for argument in arguments
        ):
            raise InferenceOnlyError(
                f"{name} is inference only, but an input requires a gradient: "
                "call it under torch.no_grad() or detach the input"
            )
        with torch._C._AutoDispatchBelowAutograd():
            return operation(*arguments)

    return kernel


def _autocast(operation: Callable, count: int, device_type: str) -> Callable:
    def kernel(*arguments: Any) -> Any:
        dtype = torch.get_autocast_dtype(device_type)
        # Tables, offsets and statistics are float32 by definition and are left alone.
        cast = [
            tensor if tensor.dtype == torch.float64 else tensor.to(dtype)
            for tensor in arguments[:count]
        ]
        with torch.autocast(device_type, enabled=False):
            return operation(*cast, *arguments[count:])

    return kernel


def _implementation(name: str, impl: str, query: Tensor) -> Callable:
    return getattr(room(resolve(impl or None, query.device.type)), name)


def _bias(
    labels: Tensor | None, index: Tensor, columns: Tensor, table: Tensor, mode: Tensor,
    weight: Tensor | None, strength: Tensor,
) -> LayoutBias | None:  # fmt: skip
    if labels is None:
        return None
    groups = KeyGroups.trusted(index, labels.shape[-2], columns)
    return LayoutBias.trusted(labels, groups, table, mode, strength, weight)


def _is_empty(query: Tensor, key: Tensor) -> bool:
    return query.numel() == 0 or key.shape[1] == 0


def _new_lse(query: Tensor) -> Tensor:
    batch, queries, heads, _ = query.shape
    dtype = torch.promote_types(query.dtype, torch.float32)
    return query.new_empty((batch, heads, queries), dtype=dtype)


def _new_probs(query: Tensor, count: int) -> Tensor:
    batch, queries, heads, _ = query.shape
    dtype = torch.promote_types(query.dtype, torch.float32)
    return query.new_empty((batch, heads, count, queries), dtype=dtype)


def _new_rows(like: Tensor, length: int) -> Tensor:
    batch, _, heads, columns = like.shape
    return like.new_empty((batch, length, heads, columns))


def _fake_attention(query: Tensor, key: Tensor, value: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
    return _new_rows(value, query.shape[1]), _new_lse(query)


def _fake_attention_with_probs(
    query: Tensor, key: Tensor, value: Tensor, index: Tensor, columns: Tensor, count: int, *_: Any
) -> tuple[Tensor, Tensor, Tensor]:
    return _new_rows(value, query.shape[1]), _new_lse(query), _new_probs(query, count)


def _fake_token_probs(
    query: Tensor, key: Tensor, index: Tensor, columns: Tensor, count: int, *_: Any
) -> Tensor:
    return _new_probs(query, count)


def _fake_token_peaks(
    query: Tensor, key: Tensor, index: Tensor, columns: Tensor, count: int, frames: int, *_: Any
) -> tuple[Tensor, Tensor]:
    shape = (query.shape[0], query.shape[2], count, frames)
    dtype = torch.promote_types(query.dtype, torch.float32)
    return query.new_empty(shape, dtype=dtype), query.new_empty(shape, dtype=torch.int64)


def _fake_lse(query: Tensor, *_: Any) -> Tensor:
    return _new_lse(query)


def _fake_apply(query: Tensor, key: Tensor, x: Tensor, *_: Any) -> Tensor:
    return _new_rows(x, query.shape[1])


def _fake_apply_transposed(query: Tensor, key: Tensor, y: Tensor, *_: Any) -> Tensor:
    return _new_rows(y, key.shape[1])


@_operation(
    "biased_attention",
    f"(Tensor query, Tensor key, Tensor value, {_BIAS}, Tensor? key_offset, float scale, str impl)"
    " -> (Tensor, Tensor)",
    _fake_attention,
    cast_by_autocast=3,
)
def _biased_attention(
    query: Tensor, key: Tensor, value: Tensor, *rest: Any
) -> tuple[Tensor, Tensor]:
    *bias, key_offset, scale, impl = rest
    run = _implementation("biased_attention", impl, query)
    if _is_empty(query, key):
        output, lse = _fake_attention(query, key, value)
        return output.zero_(), lse.fill_(-torch.inf)
    return run(query, key, value, _bias(*bias), key_offset, scale)


@_operation(
    "biased_attention_with_probs",
    f"(Tensor query, Tensor key, Tensor value, {_GROUPS}, {_BIAS}, Tensor? key_offset, "
    "float scale, str impl) -> (Tensor, Tensor, Tensor)",
    _fake_attention_with_probs,
    cast_by_autocast=3,
)
def _biased_attention_with_probs(
    query: Tensor, key: Tensor, value: Tensor, index: Tensor, columns: Tensor, count: int,
    *rest: Any,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    *bias, key_offset, scale, impl = rest
    run = _implementation("biased_attention_with_probs", impl, query)
    if _is_empty(query, key):
        output, lse, probs = _fake_attention_with_probs(query, key, value, index, columns, count)
        return output.zero_(), lse.fill_(-torch.inf), probs.zero_()
    groups = KeyGroups.trusted(index, count, columns)
    return run(query, key, value, groups, _bias(*bias), key_offset, scale)


@_operation(
    "token_probs",
    f"(Tensor query, Tensor key, {_GROUPS}, Tensor? key_offset, Tensor? lse, float scale, "
    "str impl) -> Tensor",
    _fake_token_probs,
    cast_by_autocast=2,
)
def _token_probs(
    query: Tensor, key: Tensor, index: Tensor, columns: Tensor, count: int,
    key_offset: Tensor | None, lse: Tensor | None, scale: float, impl: str,
) -> Tensor:  # fmt: skip
    run = _implementation("token_probs", impl, query)
    if _is_empty(query, key):
        return _new_probs(query, count).zero_()
    return run(query, key, KeyGroups.trusted(index, count, columns), key_offset, lse, scale)


@_operation(
    "token_peaks",
    f"(Tensor query, Tensor key, {_GROUPS}, SymInt frames, Tensor? key_offset, Tensor? lse, "
    "float scale, str impl) -> (Tensor, Tensor)",
    _fake_token_peaks,
    cast_by_autocast=2,
)
def _token_peaks(
    query: Tensor, key: Tensor, index: Tensor, columns: Tensor, count: int, frames: int,
    key_offset: Tensor | None, lse: Tensor | None, scale: float, impl: str,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    run = _implementation("token_peaks", impl, query)
    if _is_empty(query, key):
        peaks, positions = _fake_token_peaks(query, key, index, columns, count, frames)
        return peaks.zero_(), positions.fill_(-1)
    groups = KeyGroups.trusted(index, count, columns)
    return run(query, key, groups, frames, key_offset, lse, scale)


@_operation(
    "attention_map_lse",
    "(Tensor query, Tensor key, float scale, str impl) -> Tensor",
    _fake_lse,
    cast_by_autocast=2,
)
def _attention_map_lse(query: Tensor, key: Tensor, scale: float, impl: str) -> Tensor:
    run = _implementation("attention_map_lse", impl, query)
    if _is_empty(query, key):
        return _new_lse(query).fill_(-torch.inf)
    return run(query, key, scale)


@_operation(
    "attention_map_apply",
    "(Tensor query, Tensor key, Tensor x, float scale, str impl) -> (Tensor, Tensor)",
    _fake_attention,
    cast_by_autocast=2,
)
def _attention_map_apply(
    query: Tensor, key: Tensor, x: Tensor, scale: float, impl: str
) -> tuple[Tensor, Tensor]:
    run = _implementation("attention_map_apply", impl, query)
    if _is_empty(query, key):
        output, lse = _fake_attention(query, key, x)
        return output.zero_(), lse.fill_(-torch.inf)
    return run(query, key, x, scale)


@_operation(
    "attention_map_reapply",
    "(Tensor query, Tensor key, Tensor x, Tensor lse, float scale, str impl) -> Tensor",
    _fake_apply,
    cast_by_autocast=2,
)
def _attention_map_reapply(
    query: Tensor, key: Tensor, x: Tensor, lse: Tensor, scale: float, impl: str
) -> Tensor:
    run = _implementation("attention_map_reapply", impl, query)
    if _is_empty(query, key):
        return _fake_apply(query, key, x).zero_()
    return run(query, key, x, lse, scale)


@_operation(
    "attention_map_apply_transposed",
    "(Tensor query, Tensor key, Tensor y, Tensor lse, float scale, str impl) -> Tensor",
    _fake_apply_transposed,
    cast_by_autocast=2,
)
def _attention_map_apply_transposed(
    query: Tensor, key: Tensor, y: Tensor, lse: Tensor, scale: float, impl: str
) -> Tensor:
    run = _implementation("attention_map_apply_transposed", impl, query)
    if _is_empty(query, key):
        return _fake_apply_transposed(query, key, y).zero_()
    return run(query, key, y, lse, scale)

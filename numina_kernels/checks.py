"""What every operation demands of its tensors. Reads shapes, dtypes and devices, never values."""

import torch
from torch import Tensor

from .errors import DeviceError, DTypeError, LayoutError, ShapeError
from .key_groups import KeyGroups
from .layout_bias import LayoutBias
from .ops import AUTOCAST_KEYS

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def check_attention(
    query: Tensor, key: Tensor, value: Tensor, bias: LayoutBias | None, key_offset: Tensor | None
) -> None:
    """Query, key and value, and the bias and offset that go with them."""
    check_query_key(query, key)
    if value.shape != key.shape:
        raise ShapeError(f"value must be {list(key.shape)} like key, got {tuple(value.shape)}")
    _check_same(query, value, "value")
    if bias is not None:
        _check_bias(query, key, bias)
        if bias.key_offset is not None and key_offset is not None:
            raise LayoutError("key_offset is given twice: in the bias and beside it")
    check_offset(query, key, key_offset)


def check_query_key(query: Tensor, key: Tensor) -> None:
    """Query and key on their own."""
    if query.ndim != 4 or query.shape[-1] == 0:
        raise ShapeError(f"query must be [B, Q, H, D] with D > 0, got {tuple(query.shape)}")
    batch, _, heads, head_dim = query.shape
    if key.ndim != 4 or key.shape != (batch, key.shape[1], heads, head_dim):
        raise ShapeError(
            f"key must be [{batch}, K, {heads}, {head_dim}] to fit query {tuple(query.shape)}, "
            f"got {tuple(key.shape)}"
        )
    if query.dtype not in DTYPES:
        raise DTypeError(f"query must be one of {_names(DTYPES)}, got {query.dtype}")
    _check_same(query, key, "key")


def check_frames(query: Tensor, frames: int) -> None:
    """Queries that are so many equal frames."""
    queries = query.shape[1]
    if frames < 1 or queries % frames:
        raise ShapeError(f"frames must divide the {queries} queries of query, got {frames}")


def check_groups(query: Tensor, key: Tensor, groups: KeyGroups) -> None:
    """Groups that cover the keys."""
    _check_cover("groups.index", groups.index, (query.shape[0], key.shape[1]))
    _check_device(query, groups.index, "groups")


def check_offset(query: Tensor, key: Tensor, key_offset: Tensor | None) -> None:
    """An offset that covers the keys."""
    if key_offset is None:
        return
    if key_offset.dtype != torch.float32:
        raise LayoutError(f"key_offset must be float32, got {key_offset.dtype}")
    _check_cover("key_offset", key_offset, (query.shape[0], key.shape[1]))
    _check_device(query, key_offset, "key_offset")


def check_lse(query: Tensor, lse: Tensor | None) -> None:
    """A log-sum-exp of the rows of query."""
    if lse is None:
        return
    batch, queries, heads, _ = query.shape
    if lse.shape != (batch, heads, queries):
        raise ShapeError(f"lse must be [{batch}, {heads}, {queries}], got {tuple(lse.shape)}")
    if lse.dtype not in (torch.float32, torch.float64):
        raise DTypeError(f"lse must be float32 or float64, got {lse.dtype}")
    _check_device(query, lse, "lse")


def check_operand(query: Tensor, operand: Tensor, name: str, length: int) -> None:
    """Columns that a map multiplies."""
    batch, _, heads, _ = query.shape
    if operand.ndim != 4 or operand.shape[:3] != (batch, length, heads):
        raise ShapeError(
            f"{name} must be [{batch}, {length}, {heads}, C], got {tuple(operand.shape)}"
        )
    if operand.dtype not in DTYPES:
        raise DTypeError(f"{name} must be one of {_names(DTYPES)}, got {operand.dtype}")
    _check_device(query, operand, name)


def default_scale(query: Tensor, scale: float | None) -> float:
    """The score multiplier."""
    return query.shape[-1] ** -0.5 if scale is None else float(scale)


def merged_offset(bias: LayoutBias | None, key_offset: Tensor | None) -> Tensor | None:
    """The one offset of a call; ``check_attention`` has refused two."""
    return key_offset if bias is None or bias.key_offset is None else bias.key_offset


def _check_bias(query: Tensor, key: Tensor, bias: LayoutBias) -> None:
    batch, queries, heads, _ = query.shape
    keys = key.shape[1]
    nouns, classes = bias.table.shape[-2:]
    _check_cover("bias.labels", bias.labels, (batch, nouns, queries))
    _check_cover("bias.groups.index", bias.groups.index, (batch, keys))
    _check_cover("bias.mode", bias.mode, (batch, nouns, classes))
    if bias.table.shape[1] not in (1, heads):
        raise LayoutError(f"bias.table must have 1 or {heads} heads, got {tuple(bias.table.shape)}")
    for name, tensor in (
        ("table", bias.table),
        ("weight", bias.weight),
        ("key_offset", bias.key_offset),
    ):
        if tensor is not None:
            _check_cover(f"bias.{name}", tensor, (batch, *tensor.shape[1:]))
    if bias.strength.dtype != torch.float32 or bias.strength.ndim:
        # The only part that a bias takes unchecked, from step to step.
        raise LayoutError(
            f"bias.strength must be 0-dim float32, got {tuple(bias.strength.shape)} "
            f"{bias.strength.dtype}"
        )
    _check_device(query, bias.labels, "bias")
    _check_device(query, bias.strength, "bias.strength")


def _check_cover(name: str, tensor: Tensor, shape: tuple[int, ...]) -> None:
    """Whether ``tensor`` has ``shape``, its leading dimension possibly 1."""
    batch, *rest = shape
    if (
        tensor.ndim != len(shape)
        or tensor.shape[0] not in (1, batch)
        or (tuple(tensor.shape[1:]) != tuple(rest))
    ):
        wanted = ", ".join(str(size) for size in rest)
        raise LayoutError(
            f"{name} must be [1 or {batch}, {wanted}] for this query and key, "
            f"got {tuple(tensor.shape)}"
        )


def _check_same(query: Tensor, tensor: Tensor, name: str) -> None:
    _check_device(query, tensor, name)
    expected, got = _used_dtype(query), _used_dtype(tensor)
    if got != expected:
        raise DTypeError(
            f"{name} must be {expected} like query, got {tensor.dtype}; "
            f"allowed are {_names(DTYPES)}"
        )


def _used_dtype(tensor: Tensor) -> torch.dtype:
    """The dtype an operation will see: autocast leaves float64 alone, as torch does."""
    device_type = tensor.device.type
    if tensor.dtype == torch.float64 or device_type not in AUTOCAST_KEYS:
        return tensor.dtype
    if not torch.is_autocast_enabled(device_type):
        return tensor.dtype
    return torch.get_autocast_dtype(device_type)


def _check_device(query: Tensor, tensor: Tensor, name: str) -> None:
    if tensor.device != query.device:
        raise DeviceError(f"{name} is on {tensor.device}, but query on {query.device}")


def _names(dtypes: tuple[torch.dtype, ...]) -> str:
    return ", ".join(str(dtype).removeprefix("torch.") for dtype in dtypes)

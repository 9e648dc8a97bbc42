"""What a kernel is handed beside its sizes: tensors with their strides, grouped by meaning.

A NamedTuple reaches the kernel as one argument and is taken apart by the compiler. None of them
may hold None, which Triton 3.6 cannot pass inside of a tuple: what is absent is the whole tuple,
and a constexpr ``HAS_*`` says so.
"""

from typing import Any, NamedTuple

from torch import Tensor

from ..key_groups import KeyGroups
from ..layout_bias import LayoutBias

# Elements between two rows, so that 256 of them stay below 2^31.
FARTHEST_ROW = 2**23 - 1


class Rows(NamedTuple):
    """Vectors of every batch row, position and head, ``[B, S, H, D]`` with a last stride of 1."""

    ptr: Any
    batch_stride: Any
    row_stride: Any
    head_stride: Any


class PerKey(NamedTuple):
    """One number for every key, ``[B|1, K]``, contiguous rows."""

    ptr: Any
    batch_stride: Any


class Nouns(NamedTuple):
    """Noun of every key ``[B|1, K]`` int8, and the keys that have one ``[T]`` int64, ascending."""

    index_ptr: Any
    index_batch_stride: Any
    columns_ptr: Any


class Bias(NamedTuple):
    """A layout bias. ``weight_ptr`` is a stand-in where no class lifts."""

    labels_ptr: Any  # [B|1, G, Q] int8
    labels_batch_stride: Any
    labels_noun_stride: Any
    table_ptr: Any  # [B|1, H|1, G, R] float32, nats
    table_batch_stride: Any
    table_head_stride: Any
    mode_ptr: Any  # [B|1, G, R] int8
    mode_batch_stride: Any
    weight_ptr: Any  # [B|1, G, R] float32
    weight_batch_stride: Any
    strength_ptr: Any  # float32
    nouns: Nouns


def rows(tensor: Tensor) -> Rows:
    """``tensor`` as it lies, or a copy where no kernel can read it.

    Its vectors must be contiguous, and a tile of rows must be within reach of int32.
    """
    scattered = tensor.stride(-1) != 1 and tensor.shape[-1] > 1
    if scattered or tensor.stride(1) > FARTHEST_ROW:
        tensor = tensor.contiguous()
    return results(tensor)


def results(tensor: Tensor) -> Rows:
    """Rows that a kernel writes. Never a copy, in which they would be lost: int64 reaches them."""
    batch, row, head, _ = tensor.stride()
    return Rows(tensor, batch, row, head)


def per_key(tensor: Tensor) -> PerKey:
    tensor = tensor.contiguous()
    return PerKey(tensor, _batch_stride(tensor))


def nouns(groups: KeyGroups) -> Nouns:
    index = groups.index.contiguous()
    return Nouns(index, _batch_stride(index), groups.columns.contiguous())


def bias(layout: LayoutBias) -> Bias:
    labels = layout.labels
    if labels.stride(-1) != 1 and labels.shape[-1] > 1:
        labels = labels.contiguous()
    table, mode = layout.table.contiguous(), layout.mode.contiguous()
    weight = table if layout.weight is None else layout.weight.contiguous()
    return Bias(
        labels_ptr=labels,
        labels_batch_stride=_batch_stride(labels),
        labels_noun_stride=labels.stride(1),
        table_ptr=table,
        table_batch_stride=_batch_stride(table),
        table_head_stride=0 if table.shape[1] == 1 else table.stride(1),
        mode_ptr=mode,
        mode_batch_stride=_batch_stride(mode),
        weight_ptr=weight,
        weight_batch_stride=_batch_stride(weight),
        strength_ptr=layout.strength.reshape(1),
        nouns=nouns(layout.groups),
    )


def _batch_stride(tensor: Tensor) -> int:
    return 0 if tensor.shape[0] == 1 else tensor.stride(0)

"""Attention under the score bias of a layout, and the probabilities of its nouns."""

import torch
from torch import Tensor

from .checks import check_attention, check_groups, default_scale, merged_offset
from .impl import Impl
from .key_groups import KeyGroups
from .layout_bias import LayoutBias
from .ops import bias_arguments, group_arguments, impl_argument


def biased_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: LayoutBias | None = None,
    *,
    key_offset: Tensor | None = None,
    scale: float | None = None,
    impl: Impl | str | None = None,
) -> tuple[Tensor, Tensor]:
    """Attend with a bias on the scores of a few noun keys.

    ``softmax(Q K^T * scale + key_offset + B) V`` with the bias ``B`` of a ``LayoutBias``
    (NUMINA, arXiv 2604.08546, section 4.3): zero for every key without a noun, and one of a few
    values for each noun and query. Neither the scores nor ``B`` are ever stored whole. Under
    autocast, query, key and value are cast to the autocast dtype; scores and statistics stay
    float32. Inference only.

    Args:
        query: ``[B, Q, H, D]``, float16, bfloat16, float32 or float64. Any strides.
        key: ``[B, K, H, D]``, same dtype and device as ``query``.
        value: ``[B, K, H, D]``, same dtype and device as ``query``.
        bias: Bias in nats; None for plain attention.
        key_offset: Added to the scores of each key, ``[B|1, K]`` float32, in nats; ``-inf``
            removes a key. Not beside a bias that brings its own.
        scale: Score multiplier. Defaults to ``D ** -0.5``.
        impl: Implementation; the best one installed for the device by default.

    Returns:
        Output ``[B, Q, H, D]`` in the dtype of ``query``, contiguous, and the log-sum-exp of each
        row of biased scores ``[B, H, Q]`` float32 (float64 for float64 inputs), in nats. A row
        without a key, or with all of them removed, is zero with log-sum-exp ``-inf``. NaN in a
        query stays in its row; NaN in a key or value is never hidden.

    Raises:
        ShapeError: If query, key and value do not fit together.
        DTypeError: If their dtypes differ or are not supported.
        DeviceError: If the tensors live on different devices.
        LayoutError: If the bias or the offset covers other queries, keys, heads or batch rows.
        InferenceOnlyError: If an input requires a gradient and gradients are on.
        ImplementationError: If ``impl`` is unknown or not installed.
    """
    check_attention(query, key, value, bias, key_offset)
    return torch.ops.numina.biased_attention(
        query,
        key,
        value,
        *bias_arguments(bias),
        merged_offset(bias, key_offset),
        default_scale(query, scale),
        impl_argument(impl),
    )


def biased_attention_with_probs(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    groups: KeyGroups,
    bias: LayoutBias | None = None,
    *,
    key_offset: Tensor | None = None,
    scale: float | None = None,
    impl: Impl | str | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Attend as ``biased_attention`` does and return what each noun received.

    ``probs[b, h, g, q]`` is the sum over the keys of noun ``g`` of the probabilities that made
    the output, so of the biased ones where there is a bias.

    Args:
        query: ``[B, Q, H, D]``, float16, bfloat16, float32 or float64. Any strides.
        key: ``[B, K, H, D]``, same dtype and device as ``query``.
        value: ``[B, K, H, D]``, same dtype and device as ``query``.
        groups: Noun of every key. May differ from the groups of the bias.
        bias: Bias in nats; None for plain attention.
        key_offset: As in ``biased_attention``.
        scale: Score multiplier. Defaults to ``D ** -0.5``.
        impl: Implementation; the best one installed for the device by default.

    Returns:
        Output and log-sum-exp as ``biased_attention``, and ``[B, H, G, Q]`` float32 (float64 for
        float64 inputs), 0..1.

    Raises:
        As ``biased_attention``; LayoutError also if ``groups`` covers other keys.
    """
    check_attention(query, key, value, bias, key_offset)
    check_groups(query, key, groups)
    return torch.ops.numina.biased_attention_with_probs(
        query,
        key,
        value,
        *group_arguments(groups),
        *bias_arguments(bias),
        merged_offset(bias, key_offset),
        default_scale(query, scale),
        impl_argument(impl),
    )

"""The probability that a query gives to the tokens of each noun."""

import torch
from torch import Tensor

from .checks import check_groups, check_lse, check_offset, check_query_key, default_scale
from .impl import Impl
from .key_groups import KeyGroups
from .ops import group_arguments, impl_argument


def token_probs(
    query: Tensor,
    key: Tensor,
    groups: KeyGroups,
    *,
    key_offset: Tensor | None = None,
    scale: float | None = None,
    lse: Tensor | None = None,
    impl: Impl | str | None = None,
) -> Tensor:
    """Sum the attention probabilities of each noun's tokens.

    ``probs[b, h, g, q] = sum over k with groups[k] = g of softmax(Q K^T * scale + key_offset)``,
    the softmax taken over all ``K`` keys (arXiv 2604.08546, section 4.1, which takes the mean:
    divide by the number of tokens). The map ``[Q, K]`` is never stored. Inference only.

    Args:
        query: ``[B, Q, H, D]``, float16, bfloat16, float32 or float64. Any strides.
        key: ``[B, K, H, D]``, same dtype and device as ``query``.
        groups: Noun of every key.
        key_offset: Added to the scores of each key, ``[B|1, K]`` float32, in nats.
        scale: Score multiplier. Defaults to ``D ** -0.5``.
        lse: Log-sum-exp of the rows of these very scores, ``[B, H, Q]`` float32, in nats, from an
            unbiased ``biased_attention``: then only the keys of nouns are looked at.
        impl: Implementation; the best one installed for the device by default.

    Returns:
        ``[B, H, G, Q]`` float32 (float64 for float64 inputs), 0..1, contiguous. Zero for a noun
        without tokens and for a row without a key.

    Raises:
        ShapeError: If query, key and lse do not fit together.
        DTypeError: If their dtypes differ or are not supported.
        DeviceError: If the tensors live on different devices.
        LayoutError: If groups or offset cover other keys or batch rows.
        InferenceOnlyError: If an input requires a gradient and gradients are on.
        ImplementationError: If ``impl`` is unknown or not installed.
    """
    check_query_key(query, key)
    check_groups(query, key, groups)
    check_offset(query, key, key_offset)
    check_lse(query, lse)
    return torch.ops.numina.token_probs(
        query,
        key,
        *group_arguments(groups),
        key_offset,
        lse,
        default_scale(query, scale),
        impl_argument(impl),
    )

"""The query of each frame that gives a noun the most, and how much."""

import torch
from torch import Tensor

from .checks import (
    check_frames,
    check_groups,
    check_lse,
    check_offset,
    check_query_key,
    default_scale,
)
from .impl import Impl
from .key_groups import KeyGroups
from .ops import group_arguments, impl_argument


def token_peaks(
    query: Tensor,
    key: Tensor,
    groups: KeyGroups,
    frames: int,
    *,
    key_offset: Tensor | None = None,
    scale: float | None = None,
    lse: Tensor | None = None,
    impl: Impl | str | None = None,
) -> tuple[Tensor, Tensor]:
    """Find the peak of each noun in each frame, of every head.

    ``peaks[b, h, g, f] = max over n of token_probs[b, h, g, f * N + n]`` and the ``n`` that attains
    it: all that ``argmax_h max_p`` (arXiv 2604.08546, section 4.1) and a threshold relative to the
    peak need. No probability of a whole video is held, so 42 numbers a noun and head replace the
    75 600 of a 720p video. Inference only.

    Args:
        query: ``[B, F * N, H, D]``, frame-major, float16, bfloat16, float32 or float64. Any
            strides.
        key: ``[B, K, H, D]``, same dtype and device as ``query``.
        groups: Noun of every key.
        frames: Number of frames ``F``, all of ``N`` queries.
        key_offset: Added to the scores of each key, ``[B|1, K]`` float32, in nats.
        scale: Score multiplier. Defaults to ``D ** -0.5``.
        lse: As in ``token_probs``: with it only the keys of nouns are looked at.
        impl: Implementation; the best one installed for the device by default.

    Returns:
        Peaks ``[B, H, G, F]`` float32 (float64 for float64 inputs), 0..1, and their positions
        within the frame ``[B, H, G, F]`` int64, 0..N-1. Of equal probabilities the first counts.
        Where no query gives a noun anything (it has no tokens, no row has a key, or there is no
        query) the peak is 0 and its position -1. A NaN is the largest of all.

    Raises:
        ShapeError: If query, key and lse do not fit together, or ``frames`` does not divide the
            queries.
        DTypeError: If their dtypes differ or are not supported.
        DeviceError: If the tensors live on different devices.
        LayoutError: If groups or offset cover other keys or batch rows.
        InferenceOnlyError: If an input requires a gradient and gradients are on.
        ImplementationError: If ``impl`` is unknown or not installed.
    """
    check_query_key(query, key)
    check_frames(query, frames)
    check_groups(query, key, groups)
    check_offset(query, key, key_offset)
    check_lse(query, lse)
    return torch.ops.numina.token_peaks(
        query,
        key,
        *group_arguments(groups),
        frames,
        key_offset,
        lse,
        default_scale(query, scale),
        impl_argument(impl),
    )

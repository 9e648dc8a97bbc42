"""Oracle of the peaks: materialises every probability."""

from torch import Tensor

from ..key_groups import KeyGroups
from .token_probs import token_probs


def token_peaks(
    query: Tensor,
    key: Tensor,
    groups: KeyGroups,
    frames: int,
    key_offset: Tensor | None,
    lse: Tensor | None,
    scale: float,
) -> tuple[Tensor, Tensor]:
    probs = token_probs(query, key, groups, key_offset, lse, scale)
    by_frame = probs.unflatten(-1, (frames, -1))  # [B, H, G, F, N]
    peaks, positions = by_frame.amax(dim=-1), by_frame.argmax(dim=-1)
    return peaks, positions.masked_fill(peaks == 0, -1)

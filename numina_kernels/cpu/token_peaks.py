"""The peaks of the nouns: the probabilities in C++, one frame at a time.

The largest of a frame's probabilities takes no time beside them, so it is torch that finds it.
"""

from torch import Tensor

from ..eager.token_peaks import peaks_by_frame
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
    return peaks_by_frame(token_probs, query, key, groups, frames, key_offset, lse, scale)

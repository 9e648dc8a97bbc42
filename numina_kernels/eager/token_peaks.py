"""The peaks of the nouns, frame by frame: no more than one frame's probabilities are held."""

from collections.abc import Callable

import torch
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
    return peaks_by_frame(token_probs, query, key, groups, frames, key_offset, lse, scale)


def peaks_by_frame(
    probs_of: Callable[..., Tensor],
    query: Tensor,
    key: Tensor,
    groups: KeyGroups,
    frames: int,
    key_offset: Tensor | None,
    lse: Tensor | None,
    scale: float,
) -> tuple[Tensor, Tensor]:
    """Peaks and positions of what ``probs_of``, a ``token_probs``, says of each frame."""
    patches = query.shape[1] // frames
    found = []
    for frame in range(frames):
        rows = slice(frame * patches, (frame + 1) * patches)
        row_lse = None if lse is None else lse[..., rows]
        probs = probs_of(query[:, rows], key, groups, key_offset, row_lse, scale)
        # Documented: the first of equals. NaN counts as the largest.
        found.append(probs.max(dim=-1))
    peaks, positions = (torch.stack(parts, dim=-1) for parts in zip(*found, strict=True))
    return peaks, positions.masked_fill_(peaks == 0, -1)

"""What the joint attention of several families has in common: its tokens, and who is masked."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from numina_kernels.joint_sequence import JointSequence


def video_first(video: Tensor, text: Tensor) -> JointSequence:
    """The sequence of video ``[B, V, C]`` with the text ``[B, K, C]`` behind it."""
    return JointSequence(text.shape[1], video.shape[1], text_first=False)


def in_heads(attn: Any, tokens: Tensor, projections: Sequence[Any]) -> tuple[Tensor, ...]:
    """Each projection of tokens ``[B, S, C]``, as ``[B, S, H, D]``."""
    return tuple(project(tokens).unflatten(2, (attn.heads, -1)) for project in projections)


def offset_of(attended: Tensor) -> Tensor:
    """A model's mask of keys ``[B, K]``, True where attended, as `Moment` has it."""
    offset = torch.zeros(attended.shape, dtype=torch.float32, device=attended.device)
    return offset.masked_fill(~attended, -torch.inf)

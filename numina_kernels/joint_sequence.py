"""Text and video tokens in one sequence: what was made for cross-attention, in joint attention.

Of the four blocks of scores of such a sequence only one plays cross-attention: video queries
against text keys (arXiv 2604.08546, section 4). A layout bias can say so as it is. Video keys have
no noun, and text queries have a class of their own that adds 0.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from .errors import LayoutError
from .key_groups import NO_NOUN, KeyGroups
from .layout_bias import BiasMode, LayoutBias

MAX_CLASS = torch.iinfo(torch.int8).max


@dataclass(frozen=True)
class JointSequence:
    """Where the tokens of a joint attention stand, queries and keys alike.

    Nothing here reads a value, so nothing waits for the device.

    Attributes:
        text: Number of text tokens.
        video: Number of video tokens.
        text_first: Text before video, as in CogVideoX; else behind it, as in HunyuanVideo and
            Mochi.

    Raises:
        LayoutError: If a number is negative.
    """

    text: int
    video: int
    text_first: bool

    def __post_init__(self) -> None:
        if self.text < 0 or self.video < 0:
            raise LayoutError(
                f"text and video must not be negative, got {self.text} and {self.video}"
            )

    @property
    def text_rows(self) -> slice:
        """Positions of the text tokens."""
        return slice(0, self.text) if self.text_first else slice(self.video, self._length)

    @property
    def video_rows(self) -> slice:
        """Positions of the video tokens."""
        return slice(self.text, self._length) if self.text_first else slice(0, self.video)

    def groups(self, groups: KeyGroups) -> KeyGroups:
        """Groups ``[B|1, text]`` of a text as groups of the sequence ``[B|1, text + video]``.

        Raises:
            LayoutError: If the groups cover another number of keys.
        """
        self._check("groups.index", groups.index, self.text, "text")
        index = self._among_all(groups.index, self.text_rows, NO_NOUN)
        return KeyGroups.trusted(index, groups.count, groups.columns + self.text_rows.start)

    def key_offset(self, key_offset: Tensor) -> Tensor:
        """Offset ``[B|1, text]`` of text keys as one of all keys; 0 for those of the video.

        Raises:
            LayoutError: If the offset covers another number of keys.
        """
        self._check("key_offset", key_offset, self.text, "text")
        return self._among_all(key_offset, self.text_rows, 0.0)

    def bias(self, bias: LayoutBias) -> LayoutBias:
        """A bias of video queries on text keys as a bias of the sequence on itself.

        Args:
            bias: Labels ``[B|1, G, video]``, groups ``[B|1, text]``, at most 127 classes ``R``.

        Returns:
            The same scores from video to text and no bias elsewhere: class ``R``, which adds 0, is
            that of text queries. The strength is the same tensor.

        Raises:
            LayoutError: If the bias covers other tokens or has too many classes.
        """
        self._check("bias.labels", bias.labels, self.video, "video")
        neutral = bias.table.shape[-1]
        if neutral > MAX_CLASS:
            raise LayoutError(
                f"bias must have at most {MAX_CLASS} classes, so that text queries can have one "
                f"more, got {neutral}"
            )
        return LayoutBias.trusted(
            labels=self._among_all(bias.labels, self.video_rows, neutral),
            groups=self.groups(bias.groups),
            table=functional.pad(bias.table, (0, 1)),
            mode=functional.pad(bias.mode, (0, 1), value=BiasMode.ADD),
            strength=bias.strength,
            weight=None if bias.weight is None else functional.pad(bias.weight, (0, 1)),
            key_offset=None if bias.key_offset is None else self.key_offset(bias.key_offset),
        )

    @property
    def _length(self) -> int:
        return self.text + self.video

    def _among_all(self, part: Tensor, rows: slice, elsewhere: float) -> Tensor:
        """``part [..., rows]`` as ``[..., text + video]``."""
        return functional.pad(part, (rows.start, self._length - rows.stop), value=elsewhere)

    @staticmethod
    def _check(name: str, tensor: Tensor, expected: int, kind: str) -> None:
        if tensor.shape[-1] != expected:
            raise LayoutError(
                f"{name} must cover the {expected} {kind} tokens, got {tuple(tensor.shape)}"
            )

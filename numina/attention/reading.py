"""How the video reads the text in one layer: through cross-attention, or in one joint sequence."""

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from numina.attend import Moment
from numina_kernels.biased_attention import biased_attention
from numina_kernels.joint_sequence import JointSequence
from numina_kernels.key_groups import KeyGroups
from numina_kernels.layout_bias import LayoutBias
from numina_kernels.padding import FoldedKeys
from numina_kernels.token_probs import token_probs


class Reading(Protocol):
    """Queries of the video, keys of the text, and the attention they are part of.

    Strengths are measured on ``query`` and ``text`` alone, as if they were a cross-attention: a
    target such as "four fifths go to the cats" means of what the video takes from the text.
    """

    @property
    def query(self) -> Tensor:
        """Queries of the video, ``[B, Q, H, D]``."""
        ...

    @property
    def text(self) -> FoldedKeys:
        """Keys and values of the text, ``[B, K, H, D]``."""
        ...

    @property
    def groups(self) -> KeyGroups:
        """Noun of every key of ``text``."""
        ...

    def probs(self) -> Tensor:
        """What each query of the video gives to each noun, of all it attends to, [B, H, G, Q]."""
        ...

    def attend(self, bias: LayoutBias) -> Tensor:
        """The layer's output under a bias of ``query`` on ``text``, ``[B, S, H, D]``."""
        ...


@dataclass(frozen=True, eq=False)
class CrossReading:
    """A cross-attention: every query is the video's, every key the text's."""

    query: Tensor
    text: FoldedKeys
    groups: KeyGroups

    def probs(self) -> Tensor:
        key_offset = self.text.key_offset
        return token_probs(self.query, self.text.key, self.groups, key_offset=key_offset).half()

    def attend(self, bias: LayoutBias) -> Tensor:
        return biased_attention(self.query, self.text.key, self.text.value, bias)[0]


@dataclass(frozen=True, eq=False)
class JointReading:
    """A joint attention: text and video are queries and keys of one sequence ``[B, S, H, D]``.

    Its block of video queries and text keys plays cross-attention (arXiv 2604.08546, section 4).
    ``key_offset`` is the model's mask of all keys, ``[B, S]``; it masks no key of the video.
    """

    sequence: JointSequence
    sequence_query: Tensor
    sequence_key: Tensor
    sequence_value: Tensor
    groups: KeyGroups
    key_offset: Tensor | None = None

    @property
    def query(self) -> Tensor:
        return self.sequence_query[:, self.sequence.video_rows]

    @property
    def text(self) -> FoldedKeys:
        # Padding is not folded: these tokens are queries too, and no two of them stay equal.
        rows = self.sequence.text_rows
        offset = None if self.key_offset is None else self.key_offset[:, rows]
        return FoldedKeys(self.sequence_key[:, rows], self.sequence_value[:, rows], offset)

    def probs(self) -> Tensor:
        # Among thousands of video keys a noun's share can lie below what half precision resolves.
        groups = self.sequence.groups(self.groups)
        return token_probs(
            self.query, self.sequence_key, groups, key_offset=self.key_offset
        ).float()

    def attend(self, bias: LayoutBias) -> Tensor:
        return biased_attention(
            self.sequence_query, self.sequence_key, self.sequence_value, self.sequence.bias(bias)
        )[0]


def video_tokens(tokens: Tensor, moment: Moment) -> Tensor:
    """The video's tokens of what attends to itself, ``[B, S, ...]``."""
    return tokens if moment.joint is None else tokens[:, moment.joint.video_rows]

"""Where attention happens in the usual blocks, and what is put in a processor's place there."""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from numina.attend import Attend, Attention, Clock
from numina.integrations.adapter import Adapter, Site
from numina.integrations.opaque import number_of, opaquely
from numina.integrations.stock_attention import DispatchedAttention, key_offset
from numina_kernels.joint_sequence import JointSequence


class SeparateBlocks(Adapter):
    """Sites of blocks that have ``attn1`` for the video and ``attn2`` for the text."""

    blocks: ClassVar[str] = "transformer_blocks"

    def ordered_blocks(self, transformer: nn.Module) -> Sequence[nn.Module]:
        """The blocks as they run; one list of the transformer, unless an adapter knows better."""
        found: Sequence[nn.Module] = getattr(transformer, self.blocks)
        return found

    def num_layers(self, transformer: nn.Module) -> int:
        return len(self.ordered_blocks(transformer))

    def module(self, transformer: nn.Module, site: Site) -> nn.Module:
        block: Any = self.ordered_blocks(transformer)[site.layer]
        attention: nn.Module = block.attn1 if site.kind == "self" else block.attn2
        return attention


class JointBlocks(Adapter):
    """Sites of blocks whose one attention, ``attn1`` as a rule, is for video and text."""

    attention: ClassVar[str] = "attn1"

    def num_layers(self, transformer: nn.Module) -> int:
        return len(transformer.transformer_blocks)  # type: ignore[arg-type]

    def module(self, transformer: nn.Module, site: Site) -> nn.Module:
        block: Any = transformer.transformer_blocks[site.layer]  # type: ignore[index]
        attention: nn.Module = getattr(block, self.attention)
        return attention


class GuidedProcessor:
    """What our processors hold beside what they inherit from the stock one of their family.

    Args:
        stock: The processor whose place is taken; its backend and the ranks that it attends with,
            where it has such, stay in use.
        attend: Computes scores and softmax.
        clock: Tells the moment.
        layer: Index of the block.
    """

    def __init__(self, stock: Any, attend: Attend, clock: Clock, layer: int) -> None:
        super().__init__()
        self._attention_backend = getattr(stock, "_attention_backend", None)
        self._parallel_config = getattr(stock, "_parallel_config", None)
        self.attend = attend
        self.clock = clock
        self.layer = layer
        self._number = number_of(self)

    def stock(self, mask: Tensor | None, joint: JointSequence | None, within: bool) -> Attention:
        """The attention that the model itself would have computed, bit for bit.

        Args:
            mask: As ``attention`` got it.
            joint: The same.
            within: The same.
        """
        return DispatchedAttention(self._attention_backend, mask)

    def key_offset(self, mask: Tensor | None, joint: JointSequence | None) -> Tensor | None:
        """What a mask adds to each key, ``[B, K]`` float32, for a `Moment`."""
        return key_offset(mask)

    def attention(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        mask: Tensor | None = None,
        joint: JointSequence | None = None,
        *,
        within: bool = False,
    ) -> Tensor:
        """What the layer attends to now, ``[B, S, H, D]``.

        Args:
            query: ``[B, S, H, D]``, after norm and rotary embedding.
            key: ``[B, K, H, D]``, the same.
            value: ``[B, K, H, D]``.
            mask: The model's own mask, as ``stock`` and ``key_offset`` understand it.
            joint: Where text and video stand in one sequence, if they do.
            within: Whether a video attends to itself alone, for models that ranks may share.
        """
        if torch.compiler.is_compiling():
            return opaquely(self._number, query, key, value, mask, joint, within)
        return self.attend_now(query, key, value, mask, joint, within)

    def attend_now(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        mask: Tensor | None,
        joint: JointSequence | None,
        within: bool,
    ) -> Tensor:
        """``attention``, outside of every graph."""
        moment = self.clock.now(self.layer, joint, self.key_offset(mask, joint))
        return self.attend(query, key, value, moment, self.stock(mask, joint, within))

"""Where attention happens in blocks that attend to video and text in modules of their own."""

from typing import Any, ClassVar

from torch import nn

from numina.integrations.seam import Adapter, Site


class SeparateBlocks(Adapter):
    """Sites of blocks that have ``attn1`` for the video and ``attn2`` for the text."""

    blocks: ClassVar[str] = "transformer_blocks"

    def num_layers(self, transformer: nn.Module) -> int:
        return len(getattr(transformer, self.blocks))

    def module(self, transformer: nn.Module, site: Site) -> nn.Module:
        block: Any = getattr(transformer, self.blocks)[site.layer]
        attention: nn.Module = block.attn1 if site.kind == "self" else block.attn2
        return attention

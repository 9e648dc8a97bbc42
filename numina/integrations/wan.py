"""Wan: where its attention happens."""

from collections.abc import Mapping
from typing import Any

import torch
from diffusers.models.transformers.transformer_wan import (
    WanAttnProcessor,
    WanTransformer3DModel,
    _get_qkv_projections,
)
from diffusers.pipelines.wan.pipeline_wan import prompt_clean
from torch import Tensor, nn

from numina.attend import Attend
from numina.errors import UnsupportedModelError
from numina.integrations.blocks import GuidedProcessor, SeparateBlocks
from numina.integrations.seam import Clock, ForwardPass, require_stock
from numina.integrations.stock_attention import DispatchedAttention
from numina.video import VideoGrid


class WanAdapter(SeparateBlocks):
    """Text-to-video transformers of Wan 2.1 and 2.2: separate self- and cross-attention."""

    blocks = "blocks"

    def grid(self, transformer: nn.Module, forward: ForwardPass) -> VideoGrid:
        config: Any = transformer.config
        sizes = zip(forward.latents.shape[2:], config.patch_size, strict=True)
        return VideoGrid(*(size // step for size, step in sizes))

    def holds_both_branches(self) -> bool:
        return False

    def clean_prompt(self, prompt: str, call: Mapping[str, Any]) -> str:
        return prompt_clean(prompt)

    def processor(self, stock: Any, attend: Attend, clock: Clock, layer: int) -> Any:
        require_stock(stock, (WanAttnProcessor,), layer)
        return GuidedWanProcessor(stock, attend, clock, layer)


class GuidedWanProcessor(GuidedProcessor, WanAttnProcessor):
    """``WanAttnProcessor`` whose scores and softmax are computed by an ``Attend`` of ours."""

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        rotary_emb: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        if attn.add_k_proj is not None:
            raise UnsupportedModelError(
                "image-to-video attention of Wan is not supported yet; use a text-to-video model"
            )

        query, key, value = _get_qkv_projections(attn, hidden_states, encoder_hidden_states)
        query = attn.norm_q(query).unflatten(2, (attn.heads, -1))
        key = attn.norm_k(key).unflatten(2, (attn.heads, -1))
        value = value.unflatten(2, (attn.heads, -1))
        if rotary_emb is not None:
            query, key = rotate(query, *rotary_emb), rotate(key, *rotary_emb)

        stock = DispatchedAttention(self._attention_backend, attention_mask)
        output = self.attention(query, key, value, stock)
        output = output.flatten(2, 3).type_as(query)
        return attn.to_out[1](attn.to_out[0](output))


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary embedding on interleaved pairs, as Wan applies it. ``x`` is ``[B, S, H, D]``."""
    even, odd = x.unflatten(-1, (-1, 2)).unbind(-1)
    cos, sin = cos[..., 0::2], sin[..., 1::2]
    # Written in place of stacking pairs: the same bits and the same strides as the stock code.
    rotated = torch.empty_like(x)
    rotated[..., 0::2] = even * cos - odd * sin
    rotated[..., 1::2] = even * sin + odd * cos
    return rotated.type_as(x)


ADAPTERS: dict[type[nn.Module], type[WanAdapter]] = {WanTransformer3DModel: WanAdapter}

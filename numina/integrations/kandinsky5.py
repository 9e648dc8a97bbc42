"""Kandinsky 5: channels last, and branches in passes of their own that nothing announces."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch
from diffusers.models.transformers.transformer_kandinsky import (
    Kandinsky5AttnProcessor,
    Kandinsky5Transformer3DModel,
)
from diffusers.pipelines.kandinsky5.pipeline_kandinsky import prompt_clean
from torch import Tensor, nn

from numina.attend import Attend, Branch, Clock
from numina.errors import UnsupportedModelError
from numina.integrations.adapter import ForwardPass, Site
from numina.integrations.blocks import GuidedProcessor, SeparateBlocks
from numina.integrations.refusals import refuse_arguments
from numina.integrations.seam import require_stock
from numina.prompt.tokens import PromptFrame
from numina.video import VideoGrid

_REFUSED: Mapping[str, str] = MappingProxyType(
    {"image": "starts the video from an image, which was not tried; use Kandinsky5T2VPipeline"}
)


class Kandinsky5Adapter(SeparateBlocks):
    """Text-to-video transformers of Kandinsky 5: separate self- and cross-attention.

    Every token of the text is a key, of template and prompt, and nothing is padded to a length.
    """

    blocks = "visual_transformer_blocks"

    def module(self, transformer: nn.Module, site: Site) -> nn.Module:
        block: Any = self.ordered_blocks(transformer)[site.layer]
        attention: nn.Module = (
            block.self_attention if site.kind == "self" else block.cross_attention
        )
        return attention

    def head_shape(self, transformer: nn.Module) -> tuple[int, int]:
        attention: Any = self.module(transformer, Site(0, "cross"))
        return attention.num_heads, attention.to_query.out_features // attention.num_heads

    def grid(self, transformer: nn.Module, forward: ForwardPass) -> VideoGrid:
        config: Any = transformer.config
        sizes = zip(forward.latents.shape[1:4], config.patch_size, strict=True)
        return VideoGrid(*(size // step for size, step in sizes))

    def frames_of_grid(
        self, transformer: nn.Module, forward: ForwardPass, latents: Tensor
    ) -> Tensor:
        config: Any = transformer.config
        # Behind the noisy latents stand those of a first frame and their mask, as channels.
        return latents[..., : config.out_visual_dim].movedim(-1, 1)

    def check(self, transformer: nn.Module, call: Mapping[str, Any]) -> None:
        refuse_arguments(call, _REFUSED)
        config: Any = transformer.config
        if config.attention_type != "regular":
            raise UnsupportedModelError(
                f"this Kandinsky 5 has attention_type {config.attention_type!r}, which attends "
                "sparsely, to patches in another order; use a model with 'regular' attention, as "
                "those of five seconds have it"
            )
        videos = call.get("num_videos_per_prompt", 1)
        if videos != 1:
            raise UnsupportedModelError(
                f"num_videos_per_prompt={videos!r}: Kandinsky 5 pipelines encode the prompt once "
                "all the same; repeat the prompt in a list instead"
            )

    def holds_both_branches(self) -> bool:
        return False

    def unannounced_branches(self) -> tuple[Branch, ...]:
        return "cond", "uncond"

    def clean_prompt(self, prompt: str, call: Mapping[str, Any]) -> str:
        return str(prompt_clean(prompt))

    def tokenizer(self, pipe: Any) -> Any:
        # That of a processor, which takes images as well.
        return getattr(pipe.tokenizer, "tokenizer", pipe.tokenizer)

    def prompt_frame(self, pipe: Any, call: Mapping[str, Any]) -> PromptFrame:
        before, _, after = pipe.prompt_template.partition("{}")
        return PromptFrame(
            before, after, cropped=pipe.prompt_template_encode_start_idx, fitted=True
        )

    def processor(self, stock: Any, attend: Attend, clock: Clock, layer: int) -> Any:
        require_stock(stock, (Kandinsky5AttnProcessor,), layer)
        return GuidedKandinsky5Processor(stock, attend, clock, layer)


class GuidedKandinsky5Processor(GuidedProcessor, Kandinsky5AttnProcessor):
    """``Kandinsky5AttnProcessor`` whose scores and softmax are computed by an ``Attend``."""

    # Kandinsky5Attention.forward drops keyword arguments that are not in this signature.
    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        rotary_emb: Tensor | None = None,
        sparse_params: Mapping[str, Any] | None = None,
    ) -> Tensor:
        keys = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query, key, value = (
            x.unflatten(-1, (attn.num_heads, -1))
            for x in (attn.to_query(hidden_states), attn.to_key(keys), attn.to_value(keys))
        )
        query = attn.query_norm(query.float()).type_as(query)
        key = attn.key_norm(key.float()).type_as(key)
        if rotary_emb is not None:
            query, key = rotate(query, rotary_emb), rotate(key, rotary_emb)
        output = self.attention(query, key, value)
        return attn.out_layer(output.flatten(-2).type_as(query))


def rotate(x: Tensor, rotation: Tensor) -> Tensor:
    """Rotary embedding as Kandinsky 5 applies it: by matrices, and rounded to bfloat16."""
    pairs = x.unflatten(-1, (-1, 1, 2)).float()
    return (rotation * pairs).sum(dim=-1).flatten(-2).to(torch.bfloat16).type_as(x)


ADAPTERS: dict[type[nn.Module], type[Kandinsky5Adapter]] = {
    Kandinsky5Transformer3DModel: Kandinsky5Adapter
}

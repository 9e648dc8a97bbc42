"""Cosmos 1.0 and 2.5: branches that nothing announces, and timesteps other than 1000 sigma."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch
from diffusers import Cosmos2_5_PredictBasePipeline, CosmosTextToWorldPipeline
from diffusers.models.embeddings import apply_rotary_emb
from diffusers.models.transformers.transformer_cosmos import (
    CosmosAttnProcessor2_0,
    CosmosTransformer3DModel,
)
from torch import Tensor, nn

from numina.attend import Attend, Branch, Clock
from numina.errors import UnsupportedModelError
from numina.integrations.adapter import ForwardPass
from numina.integrations.blocks import GuidedProcessor, SeparateBlocks
from numina.integrations.chat_template import PROMPT_SLOT, text_around
from numina.integrations.joint_tokens import offset_of
from numina.integrations.noise import TIMESTEPS
from numina.integrations.refusals import refuse_arguments
from numina.integrations.seam import require_stock
from numina.prompt.tokens import PromptFrame
from numina.video import VideoGrid
from numina_kernels.joint_sequence import JointSequence

_SYSTEM = "You are a helpful assistant who will provide prompts to an image generator."
_GIVES_FRAMES = "gives the first frames, which was not tried; leave it out"
_REFUSED: Mapping[str, str] = MappingProxyType({"image": _GIVES_FRAMES, "video": _GIVES_FRAMES})


class CosmosAdapter(SeparateBlocks):
    """Text-to-world transformers of Cosmos: separate self- and cross-attention."""

    def grid(self, transformer: nn.Module, forward: ForwardPass) -> VideoGrid:
        config: Any = transformer.config
        sizes = zip(forward.latents.shape[2:], config.patch_size, strict=True)
        return VideoGrid(*(size // step for size, step in sizes))

    def timesteps(self, forward: ForwardPass) -> Tensor:
        timesteps = super().timesteps(forward)
        # 1.0 has no given frames; 2.5 is told sigma itself, for every frame if [B, 1, F, 1, 1].
        if forward.arguments.get("condition_mask") is None:
            return timesteps
        return (timesteps.flatten(1) if timesteps.ndim > 1 else timesteps) * TIMESTEPS

    def check(self, transformer: nn.Module, call: Mapping[str, Any]) -> None:
        refuse_arguments(call, _REFUSED)
        config: Any = transformer.config
        videos, prompt = call.get("num_videos_per_prompt", 1), call.get("prompt")
        if config.use_crossattn_projection and videos != 1 and not isinstance(prompt, str):
            raise UnsupportedModelError(
                f"num_videos_per_prompt={videos!r} with a list of prompts: Cosmos 2.5 pipelines "
                "have a sigma for each prompt, and not for each video; repeat each prompt in the "
                "list instead"
            )
        if config.img_context_dim_in:
            raise UnsupportedModelError(
                f"this Cosmos has img_context_dim_in {config.img_context_dim_in}: it attends to an "
                "image beside the text, which was not tried; use a text-to-world model"
            )

    def holds_both_branches(self) -> bool:
        return False

    def unannounced_branches(self) -> tuple[Branch, ...]:
        return "cond", "uncond"

    def prompt_frame(self, pipe: Any, call: Mapping[str, Any]) -> PromptFrame:
        if isinstance(pipe, CosmosTextToWorldPipeline):
            return PromptFrame()
        if not isinstance(pipe, Cosmos2_5_PredictBasePipeline):
            raise UnsupportedModelError(
                f"{type(pipe).__name__} makes an image, or starts from one or from a video; numina "
                "guides Cosmos by CosmosTextToWorldPipeline and Cosmos2_5_PredictBasePipeline"
            )
        messages = [
            {"role": role, "content": [{"type": "text", "text": text}]}
            for role, text in (("system", _SYSTEM), ("user", PROMPT_SLOT))
        ]
        options = {"add_generation_prompt": False, "add_vision_id": False}
        return PromptFrame(*text_around(pipe.tokenizer, messages, **options))

    def guidance_scale(self, pipe: Any, call: Mapping[str, Any]) -> float:
        scale = super().guidance_scale(pipe, call)
        # c + scale (c - u), where others have u + scale (c - u).
        return 1 + scale if scale > 1 else scale

    def processor(self, stock: Any, attend: Attend, clock: Clock, layer: int) -> Any:
        require_stock(stock, (CosmosAttnProcessor2_0,), layer)
        return GuidedCosmosProcessor(stock, attend, clock, layer)


class GuidedCosmosProcessor(GuidedProcessor, CosmosAttnProcessor2_0):
    """``CosmosAttnProcessor2_0`` whose scores and softmax are computed by an ``Attend``."""

    def key_offset(self, mask: Tensor | None, joint: JointSequence | None) -> Tensor | None:
        if mask is None or mask.dtype != torch.bool:
            return super().key_offset(mask, joint)
        return offset_of(mask[:, 0, 0])

    # Attention.forward drops keyword arguments that are not in this signature.
    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,  # [B, 1, 1, K], boolean or added
        image_rotary_emb: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        keys = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        # [B, H, S, D], as the stock code has it, so that norm and rotation see the same strides.
        query, key, value = (
            x.unflatten(2, (attn.heads, -1)).transpose(1, 2)
            for x in (attn.to_q(hidden_states), attn.to_k(keys), attn.to_v(keys))
        )
        query, key = attn.norm_q(query), attn.norm_k(key)
        if image_rotary_emb is not None:
            query, key = (
                apply_rotary_emb(x, image_rotary_emb, use_real_unbind_dim=-2) for x in (query, key)
            )

        query, key, value = (x.transpose(1, 2) for x in (query, key, value))
        output = self.attention(query, key, value, attention_mask)
        output = output.flatten(2, 3).type_as(query)
        return attn.to_out[1](attn.to_out[0](output))


ADAPTERS: dict[type[nn.Module], type[CosmosAdapter]] = {CosmosTransformer3DModel: CosmosAdapter}

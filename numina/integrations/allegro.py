"""Allegro: a text of which the padding is masked, and a pipeline that announces no branch."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from diffusers.models.attention_processor import AllegroAttnProcessor2_0
from diffusers.models.embeddings import apply_rotary_emb_allegro
from diffusers.models.transformers.transformer_allegro import AllegroTransformer3DModel
from diffusers.pipelines.allegro import pipeline_allegro
from torch import Tensor, nn

from numina.attend import Attend, Attention, Clock
from numina.integrations.adapter import ForwardPass
from numina.integrations.blocks import GuidedProcessor, SeparateBlocks
from numina.integrations.refusals import (
    refuse_arguments,
    refuse_conditioning,
    refuse_ignored_videos,
)
from numina.integrations.seam import require_stock
from numina.integrations.stock_attention import TorchAttention, mask_of_keys
from numina.video import VideoGrid
from numina_kernels.joint_sequence import JointSequence

_REFUSED: Mapping[str, str] = MappingProxyType(
    {"timesteps": "replaces the scheduler's own steps; pass num_inference_steps instead"}
)


class AllegroAdapter(SeparateBlocks):
    """Text-to-video transformers of Allegro: separate self- and cross-attention."""

    def grid(self, transformer: nn.Module, forward: ForwardPass) -> VideoGrid:
        config: Any = transformer.config
        # Frames are cut into patches one by one, whatever patch_size_t says.
        frames, rows, columns = forward.latents.shape[2:]
        return VideoGrid(frames, rows // config.patch_size, columns // config.patch_size)

    def check(self, transformer: nn.Module, call: Mapping[str, Any]) -> None:
        refuse_conditioning(transformer)
        refuse_arguments(call, _REFUSED)
        refuse_ignored_videos(call, "Allegro")

    def clean_prompt(self, prompt: str, call: Mapping[str, Any]) -> str:
        # The pipeline's own method, which needs nothing that a pipeline is built from. Where a
        # package is missing it cleans less, and says so; that it does so in the run is enough.
        cleaner: Any = object.__new__(pipeline_allegro.AllegroPipeline)
        wanted = call.get("clean_caption", True)
        able = pipeline_allegro.is_bs4_available() and pipeline_allegro.is_ftfy_available()
        (cleaned,) = cleaner._text_preprocessing(prompt, clean_caption=wanted and able)
        return str(cleaned)

    def processor(self, stock: Any, attend: Attend, clock: Clock, layer: int) -> Any:
        require_stock(stock, (AllegroAttnProcessor2_0,), layer)
        return GuidedAllegroProcessor(stock, attend, clock, layer)


class GuidedAllegroProcessor(GuidedProcessor, AllegroAttnProcessor2_0):
    """``AllegroAttnProcessor2_0`` whose scores and softmax are computed by an ``Attend``."""

    def stock(self, mask: Tensor | None, joint: JointSequence | None, within: bool) -> Attention:
        return TorchAttention(mask)

    # Attention.forward drops keyword arguments that are not in this signature.
    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
        image_rotary_emb: Any = None,
    ) -> Tensor:
        keys = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        mask = mask_of_keys(attn, attention_mask, keys, self.layer)
        # [B, H, S, D], as the stock code has it, so that the rotation sees the same strides.
        query, key, value = (
            x.unflatten(2, (attn.heads, -1)).transpose(1, 2)
            for x in (attn.to_q(hidden_states), attn.to_k(keys), attn.to_v(keys))
        )
        if image_rotary_emb is not None and not attn.is_cross_attention:
            query = apply_rotary_emb_allegro(query, *image_rotary_emb)
            key = apply_rotary_emb_allegro(key, *image_rotary_emb)

        query, key, value = (x.transpose(1, 2) for x in (query, key, value))
        output = self.attention(query, key, value, mask)
        output = output.flatten(2).type_as(query)
        return attn.to_out[1](attn.to_out[0](output))


ADAPTERS: dict[type[nn.Module], type[AllegroAdapter]] = {AllegroTransformer3DModel: AllegroAdapter}

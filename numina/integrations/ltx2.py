"""LTX-2: packed latents, sound beside the video, and a text with registers in place of padding."""

from collections.abc import Mapping
from typing import Any

import torch
from diffusers import LTX2Pipeline
from diffusers.models.transformers.transformer_ltx2 import (
    LTX2AudioVideoAttnProcessor,
    LTX2PerturbedAttnProcessor,
    LTX2VideoTransformer3DModel,
    apply_interleaved_rotary_emb,
    apply_split_rotary_emb,
)
from torch import Tensor, nn

from numina.attend import Attend, Clock
from numina.combination import Combination
from numina.errors import UnsupportedModelError
from numina.integrations.blocks import GuidedProcessor
from numina.integrations.ltx_video import LTXVideoAdapter
from numina.integrations.refusals import refuse_arguments
from numina.integrations.seam import require_stock
from numina.integrations.stock_attention import mask_of_keys
from numina.prompt.tokens import PromptFrame

_STOCK = (LTX2AudioVideoAttnProcessor, LTX2PerturbedAttnProcessor)


class LTX2Adapter(LTXVideoAdapter):
    """Text-to-video transformers of LTX-2: what the video attends to; the sound is left alone."""

    def check(self, transformer: nn.Module, call: Mapping[str, Any]) -> None:
        super().check(transformer, {**call, "guidance_rescale": 0.0})
        refuse_arguments(
            call,
            {
                "enable_prompt_enhancement": (
                    "rewrites the prompt, so that its nouns are not known; pass enhance= instead"
                )
            },
        )

    def clean_prompt(self, prompt: str, call: Mapping[str, Any]) -> str:
        return prompt.strip()

    def prompt_frame(self, pipe: Any, call: Mapping[str, Any]) -> PromptFrame:
        if not isinstance(pipe, LTX2Pipeline):
            raise UnsupportedModelError(
                f"{type(pipe).__name__} gives the model more than the text, which was not tried; "
                "use LTX2Pipeline"
            )
        # Registers take the place of the padding, behind the text wherever the tokenizer pads.
        registers = pipe.connectors.config.video_connector_num_learnable_registers
        if registers is None:
            raise UnsupportedModelError(
                "the connectors of this LTX-2 pipeline have no learnable registers, so that its "
                "text stays behind its padding, which no published model has; use one of those"
            )
        return PromptFrame(padded=False)

    def combination(self, pipe: Any, call: Mapping[str, Any]) -> Combination:
        # The sound's scales decide too whether a pass is made: it may be, and have no weight here.
        return Combination(
            self.guidance_scale(pipe, call),
            perturbed=pipe.stg_scale if pipe.do_spatio_temporal_guidance else 0.0,
            isolated=pipe.modality_scale - 1 if pipe.do_modality_isolation_guidance else 0.0,
            rescale=pipe.guidance_rescale,
        )

    def processor(self, stock: Any, attend: Attend, clock: Clock, layer: int) -> Any:
        require_stock(stock, _STOCK, layer)
        return GuidedLTX2Processor(stock, attend, clock, layer)


class GuidedLTX2Processor(GuidedProcessor, LTX2PerturbedAttnProcessor):
    """LTX-2's processors, of 2.0 and of 2.3, whose scores and softmax are an ``Attend``'s."""

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        query_rotary_emb: tuple[Tensor, Tensor] | None = None,
        key_rotary_emb: tuple[Tensor, Tensor] | None = None,
        perturbation_mask: Tensor | None = None,
        all_perturbed: bool | None = None,
    ) -> Tensor:
        keys = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        gates = None if attn.to_gate_logits is None else attn.to_gate_logits(hidden_states)
        output = value = attn.to_v(keys)
        # A perturbed video hands on its values, and attends to nothing.
        if not _all_perturbed(perturbation_mask, all_perturbed):
            mask = mask_of_keys(attn, attention_mask, keys, self.layer)
            query, key = attn.norm_q(attn.to_q(hidden_states)), attn.norm_k(attn.to_k(keys))
            if query_rotary_emb is not None:
                rotate = _ROTATIONS[attn.rope_type]
                query = rotate(query, query_rotary_emb)
                key = rotate(key, query_rotary_emb if key_rotary_emb is None else key_rotary_emb)
            query, key, keyed = (x.unflatten(2, (attn.heads, -1)) for x in (query, key, value))
            output = self.attention(query, key, keyed, mask)
            output = output.flatten(2, 3).to(query.dtype)
            if perturbation_mask is not None:
                output = torch.lerp(value, output, perturbation_mask)
        if gates is not None:
            shares = 2.0 * torch.sigmoid(gates)  # [B, Q, H]
            output = (output.unflatten(2, (attn.heads, -1)) * shares.unsqueeze(-1)).flatten(2, 3)
        return attn.to_out[1](attn.to_out[0](output))


def _all_perturbed(mask: Tensor | None, told: bool | None) -> bool:
    """Whether every video is perturbed: the mask is 0 for those that are."""
    if told is not None:
        return bool(told)
    return mask is not None and not bool(mask.any())


_ROTATIONS: Mapping[str, Any] = {
    "interleaved": apply_interleaved_rotary_emb,
    "split": apply_split_rotary_emb,
}

ADAPTERS: dict[type[nn.Module], type[LTX2Adapter]] = {LTX2VideoTransformer3DModel: LTX2Adapter}

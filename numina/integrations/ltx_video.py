"""LTX-Video 0.9: packed latents, and a text of which the padding is masked."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from diffusers.models.transformers.transformer_ltx import (
    LTXVideoAttnProcessor,
    LTXVideoTransformer3DModel,
    apply_rotary_emb,
)
from torch import Tensor, nn

from numina.attend import Attend, Clock
from numina.errors import UnsupportedModelError
from numina.integrations.adapter import ForwardPass
from numina.integrations.blocks import GuidedProcessor, SeparateBlocks
from numina.integrations.refusals import refuse_arguments, refuse_conditioning, refuse_mixed_masks
from numina.integrations.seam import require_stock
from numina.integrations.stock_attention import mask_of_keys
from numina.video import VideoGrid

_CONDITIONED = "makes the video from given frames, which is not supported yet; use LTXPipeline"
_REFUSED: Mapping[str, str] = MappingProxyType(
    {
        "guidance_rescale": (
            "rescales what classifier-free guidance predicts, so the clean latent of a step is not "
            "known when it is looked at; leave it out"
        ),
        "conditions": _CONDITIONED,
        "image": _CONDITIONED,
        "video": _CONDITIONED,
    }
)


class LTXVideoAdapter(SeparateBlocks):
    """Text-to-video transformers of LTX-Video 0.9: separate self- and cross-attention."""

    def grid(self, transformer: nn.Module, forward: ForwardPass) -> VideoGrid:
        # The model itself counts tokens by them, to place its rotary embedding.
        sizes: list[Any] = [
            forward.arguments.get(name) for name in ("num_frames", "height", "width")
        ]
        if None in sizes:
            raise UnsupportedModelError(
                "this pipeline tells the transformer no num_frames, height and width, but "
                "video_coords of each token, for videos made from given frames; use LTXPipeline"
            )
        return VideoGrid(*sizes)

    def frames_of_grid(
        self, transformer: nn.Module, forward: ForwardPass, latents: Tensor
    ) -> Tensor:
        config: Any = transformer.config
        side, depth = config.patch_size, config.patch_size_t
        patches = latents.unflatten(2, (-1, depth, side, side))
        patches = patches.unflatten(1, self.grid(transformer, forward).shape)
        # [B, F, Y, X, C, p_t, p, p] to [B, p_t * C, F, y, x]
        frames = patches.permute(0, 5, 4, 1, 2, 6, 3, 7)
        return frames.flatten(6, 7).flatten(4, 5).flatten(1, 2)

    def check(self, transformer: nn.Module, call: Mapping[str, Any]) -> None:
        refuse_conditioning(transformer)
        refuse_arguments(call, _REFUSED)
        refuse_mixed_masks(call, "LTX")

    def processor(self, stock: Any, attend: Attend, clock: Clock, layer: int) -> Any:
        require_stock(stock, (LTXVideoAttnProcessor,), layer)
        return GuidedLTXVideoProcessor(stock, attend, clock, layer)


class GuidedLTXVideoProcessor(GuidedProcessor, LTXVideoAttnProcessor):
    """``LTXVideoAttnProcessor`` whose scores and softmax are computed by an ``Attend``."""

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        image_rotary_emb: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        keys = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        mask = mask_of_keys(attn, attention_mask, keys, self.layer)
        query = attn.norm_q(attn.to_q(hidden_states))
        key = attn.norm_k(attn.to_k(keys))
        if image_rotary_emb is not None:
            query = apply_rotary_emb(query, image_rotary_emb)
            key = apply_rotary_emb(key, image_rotary_emb)
        query, key, value = (
            x.unflatten(2, (attn.heads, -1)) for x in (query, key, attn.to_v(keys))
        )

        output = self.attention(query, key, value, mask)
        output = output.flatten(2).type_as(query)
        return attn.to_out[1](attn.to_out[0](output))


ADAPTERS: dict[type[nn.Module], type[LTXVideoAdapter]] = {
    LTXVideoTransformer3DModel: LTXVideoAdapter
}

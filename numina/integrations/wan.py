"""Wan: where its attention happens, to the text and, where there is one, to an image."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from diffusers.models.transformers.transformer_wan import (
    WanAttnProcessor,
    WanTransformer3DModel,
    _get_added_kv_projections,
    _get_qkv_projections,
)
from diffusers.models.transformers.transformer_wan_vace import WanVACETransformer3DModel
from diffusers.pipelines.wan.pipeline_wan import prompt_clean
from torch import Tensor, nn

from numina.attend import Attend, Attention, Clock
from numina.errors import UnsupportedModelError
from numina.integrations.adapter import ForwardPass
from numina.integrations.blocks import GuidedProcessor, SeparateBlocks
from numina.integrations.refusals import refuse_arguments
from numina.integrations.seam import require_stock
from numina.integrations.stock_attention import DispatchedAttention
from numina.video import VideoGrid
from numina_kernels.joint_sequence import JointSequence

# Keys of the text behind those of an image; diffusers has the number in its code.
_TEXT_KEYS = 512
_REFUSED_OF_VACE: Mapping[str, str] = MappingProxyType(
    {
        "reference_images": (
            "puts frames of its own before those of the video, and what they show would be counted "
            "with it; leave it out"
        )
    }
)


class WanAdapter(SeparateBlocks):
    """Transformers of Wan 2.1 and 2.2, from text or from an image as well.

    Self- and cross-attention are separate. Where the model attends to an image too, that is a
    softmax of its own beside the text's, and is left to the model.
    """

    blocks = "blocks"

    def grid(self, transformer: nn.Module, forward: ForwardPass) -> VideoGrid:
        config: Any = transformer.config
        sizes = zip(forward.latents.shape[2:], config.patch_size, strict=True)
        return VideoGrid(*(size // step for size, step in sizes))

    def holds_both_branches(self) -> bool:
        return False

    def frames_of_grid(
        self, transformer: nn.Module, forward: ForwardPass, latents: Tensor
    ) -> Tensor:
        config: Any = transformer.config
        # What is known of the frames of an image stands behind the noisy latents, as channels.
        return latents[:, : config.out_channels]

    def check(self, transformer: nn.Module, call: Mapping[str, Any]) -> None:
        config: Any = transformer.config
        length = call.get("max_sequence_length", _TEXT_KEYS)
        if config.added_kv_proj_dim is not None and length != _TEXT_KEYS:
            raise UnsupportedModelError(
                f"max_sequence_length={length!r}: diffusers takes the last {_TEXT_KEYS} keys of a "
                "Wan model that attends to an image for the text, so that some would be taken for "
                "the other; leave it out"
            )

    def follows_ulysses(self, transformer: nn.Module) -> bool:
        # Not tried with the classes that were made of Wan's.
        return type(transformer) is WanTransformer3DModel

    def clean_prompt(self, prompt: str, call: Mapping[str, Any]) -> str:
        return prompt_clean(prompt)

    def guidance_scale(self, pipe: Any, call: Mapping[str, Any]) -> float:
        scale = super().guidance_scale(pipe, call)
        boundary = pipe.config.get("boundary_ratio")
        # The first scale alone decides whether there is an unconditional pass, for both models.
        if boundary is None or not pipe.do_classifier_free_guidance:
            return scale
        high = pipe.current_timestep >= boundary * pipe.scheduler.config.num_train_timesteps
        return scale if high else float(pipe._guidance_scale_2)

    def processor(self, stock: Any, attend: Attend, clock: Clock, layer: int) -> Any:
        require_stock(stock, (WanAttnProcessor,), layer)
        return GuidedWanProcessor(stock, attend, clock, layer)


class WanVACEAdapter(WanAdapter):
    """Transformers of Wan VACE, which follow a video or a mask of it.

    Layers are the blocks of the control, then those of the video, as they run: both read the text.
    """

    def ordered_blocks(self, transformer: nn.Module) -> Sequence[nn.Module]:
        model: Any = transformer
        return [*model.vace_blocks, *model.blocks]

    def check(self, transformer: nn.Module, call: Mapping[str, Any]) -> None:
        super().check(transformer, call)
        refuse_arguments(call, _REFUSED_OF_VACE)


class GuidedWanProcessor(GuidedProcessor, WanAttnProcessor):
    """``WanAttnProcessor`` whose scores and softmax are computed by an ``Attend`` of ours."""

    # Families that were made of Wan have their own.
    projections = staticmethod(_get_qkv_projections)
    image_projections = staticmethod(_get_added_kv_projections)

    def stock(self, mask: Tensor | None, joint: JointSequence | None, within: bool) -> Attention:
        # A rank holds a slice of the patches, but all of the text.
        ranks = self._parallel_config if within else None
        return DispatchedAttention(self._attention_backend, mask, ranks)

    def key_offset(self, mask: Tensor | None, joint: JointSequence | None) -> None:
        # Its pipelines mask nothing; a mask of somebody else's goes to the model's own attention.
        return None

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        rotary_emb: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        image = None
        if attn.add_k_proj is not None and encoder_hidden_states is not None:
            before = encoder_hidden_states.shape[1] - _TEXT_KEYS
            image = encoder_hidden_states[:, :before]
            encoder_hidden_states = encoder_hidden_states[:, before:]

        query, key, value = self.projections(attn, hidden_states, encoder_hidden_states)
        query = attn.norm_q(query).unflatten(2, (attn.heads, -1))
        key = attn.norm_k(key).unflatten(2, (attn.heads, -1))
        value = value.unflatten(2, (attn.heads, -1))
        if rotary_emb is not None:
            query, key = rotate(query, *rotary_emb), rotate(key, *rotary_emb)

        seen = None if image is None else self._seen_of_image(attn, query, image)
        within = encoder_hidden_states is None
        output = self.attention(query, key, value, attention_mask, within=within)
        output = output.flatten(2, 3).type_as(query)
        if seen is not None:
            output = output + seen
        return attn.to_out[1](attn.to_out[0](output))

    def _seen_of_image(self, attn: Any, query: Tensor, image: Tensor) -> Tensor:
        """What queries ``[B, Q, H, D]`` take from the tokens of an image, ``[B, Q, C]``."""
        key, value = self.image_projections(attn, image)
        key = attn.norm_added_k(key).unflatten(2, (attn.heads, -1))
        value = value.unflatten(2, (attn.heads, -1))
        output = DispatchedAttention(self._attention_backend)(query, key, value)
        return output.flatten(2, 3).type_as(query)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary embedding on interleaved pairs, as Wan applies it. ``x`` is ``[B, S, H, D]``."""
    even, odd = x.unflatten(-1, (-1, 2)).unbind(-1)
    cos, sin = cos[..., 0::2], sin[..., 1::2]
    # Written in place of stacking pairs: the same bits and the same strides as the stock code.
    rotated = torch.empty_like(x)
    rotated[..., 0::2] = even * cos - odd * sin
    rotated[..., 1::2] = even * sin + odd * cos
    return rotated.type_as(x)


ADAPTERS: dict[type[nn.Module], type[WanAdapter]] = {
    WanTransformer3DModel: WanAdapter,
    WanVACETransformer3DModel: WanVACEAdapter,
}

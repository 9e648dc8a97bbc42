"""CogVideoX: one joint attention over text and video, both guidance branches in one pass."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch
from diffusers.models.attention_processor import (
    CogVideoXAttnProcessor2_0,
    FusedCogVideoXAttnProcessor2_0,
)
from diffusers.models.embeddings import apply_rotary_emb
from diffusers.models.transformers.cogvideox_transformer_3d import CogVideoXTransformer3DModel
from torch import Tensor, nn

from numina.attend import Attend, Attention, Clock
from numina.errors import UnsupportedModelError
from numina.integrations.adapter import ForwardPass
from numina.integrations.blocks import GuidedProcessor, JointBlocks
from numina.integrations.refusals import (
    refuse_arguments,
    refuse_conditioning,
    refuse_ignored_videos,
)
from numina.integrations.seam import require_stock
from numina.integrations.stock_attention import TorchAttention
from numina.video import VideoGrid
from numina_kernels.joint_sequence import JointSequence

Projection = Callable[[Any, Tensor], tuple[Tensor, ...]]

# Pipeline arguments by which a plan would meet another run than it was made for.
_REFUSED: Mapping[str, str] = MappingProxyType(
    {
        "use_dynamic_cfg": (
            "changes the guidance scale after each forward pass, so the clean latent of a step is "
            "not known when it is looked at; leave it out"
        ),
        "timesteps": "replaces the scheduler's own steps; pass num_inference_steps instead",
    }
)


class CogVideoXAdapter(JointBlocks):
    """Text-to-video transformers of CogVideoX 2B, 5B and 1.5: joint attention, text first."""

    def grid(self, transformer: nn.Module, forward: ForwardPass) -> VideoGrid:
        config: Any = transformer.config
        _, frames, _, rows, columns = forward.latents.shape
        side = config.patch_size
        return VideoGrid(frames // _patch_frames(transformer), rows // side, columns // side)

    def frames_of_grid(
        self, transformer: nn.Module, forward: ForwardPass, latents: Tensor
    ) -> Tensor:
        # [B, F * p_t, C, y, x] to [B, p_t * C, F, y, x]
        patches = latents.unflatten(1, (-1, _patch_frames(transformer)))
        return patches.flatten(2, 3).transpose(1, 2)

    def check(self, transformer: nn.Module, call: Mapping[str, Any]) -> None:
        refuse_conditioning(transformer)
        refuse_arguments(call, _REFUSED)
        refuse_ignored_videos(call, "CogVideoX")

    def processor(self, stock: Any, attend: Attend, clock: Clock, layer: int) -> Any:
        require_stock(stock, _PROJECTIONS, layer)
        return GuidedCogVideoXProcessor(stock, attend, clock, layer)


class GuidedCogVideoXProcessor(GuidedProcessor, CogVideoXAttnProcessor2_0):
    """``CogVideoXAttnProcessor2_0`` whose scores and softmax are computed by an ``Attend``."""

    def __init__(self, stock: Any, attend: Attend, clock: Clock, layer: int) -> None:
        super().__init__(stock, attend, clock, layer)
        self.project = _PROJECTIONS[type(stock)]

    def stock(self, mask: Tensor | None, joint: JointSequence | None, within: bool) -> Attention:
        return TorchAttention(mask)

    # Attention.forward drops keyword arguments that are not in this signature.
    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        image_rotary_emb: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor]:
        if attention_mask is not None:
            raise UnsupportedModelError(
                f"layer {self.layer} got an attention_mask {tuple(attention_mask.shape)}, which "
                "guidance could not follow; leave it out of attention_kwargs"
            )
        joint = JointSequence(
            encoder_hidden_states.shape[1], hidden_states.shape[1], text_first=True
        )
        sequence = torch.cat([encoder_hidden_states, hidden_states], dim=1)
        # [B, H, S, D], as the stock code has it, so that norms and rotation see the same strides.
        query, key, value = (
            x.unflatten(2, (attn.heads, -1)).transpose(1, 2) for x in self.project(attn, sequence)
        )
        if attn.norm_q is not None:
            query = attn.norm_q(query)
        if attn.norm_k is not None:
            key = attn.norm_k(key)
        if image_rotary_emb is not None:
            for x in (query, key):
                video = x[:, :, joint.video_rows]
                video.copy_(apply_rotary_emb(video, image_rotary_emb))

        query, key, value = (x.transpose(1, 2) for x in (query, key, value))
        output = self.attention(query, key, value, joint=joint)
        output = attn.to_out[1](attn.to_out[0](output.flatten(2)))
        return output[:, joint.video_rows], output[:, joint.text_rows]


def _separate(attn: Any, sequence: Tensor) -> tuple[Tensor, ...]:
    return attn.to_q(sequence), attn.to_k(sequence), attn.to_v(sequence)


def _fused(attn: Any, sequence: Tensor) -> tuple[Tensor, ...]:
    fused: Tensor = attn.to_qkv(sequence)
    return fused.chunk(3, dim=-1)


def _patch_frames(transformer: nn.Module) -> int:
    """Latent frames in a patch: one, but for CogVideoX 1.5."""
    config: Any = transformer.config
    return config.patch_size_t or 1


_PROJECTIONS: Mapping[type, Projection] = MappingProxyType(
    {CogVideoXAttnProcessor2_0: _separate, FusedCogVideoXAttnProcessor2_0: _fused}
)

ADAPTERS: dict[type[nn.Module], type[CogVideoXAdapter]] = {
    CogVideoXTransformer3DModel: CogVideoXAdapter
}

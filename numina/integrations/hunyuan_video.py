"""HunyuanVideo: one joint attention over video and masked text, in two kinds of blocks."""

from collections.abc import Mapping
from typing import Any

import torch
from diffusers.models.embeddings import apply_rotary_emb
from diffusers.models.transformers.transformer_hunyuan_video import (
    HunyuanVideoAttnProcessor2_0,
    HunyuanVideoTransformer3DModel,
)
from diffusers.pipelines.hunyuan_video.pipeline_hunyuan_video import DEFAULT_PROMPT_TEMPLATE
from torch import Tensor, nn

from numina.attend import Attend, Clock
from numina.errors import UnsupportedModelError
from numina.integrations.adapter import Adapter, ForwardPass, Site
from numina.integrations.blocks import GuidedProcessor
from numina.integrations.joint_tokens import in_heads, offset_of, video_first
from numina.integrations.seam import require_stock
from numina.prompt.tokens import PromptFrame
from numina.video import VideoGrid
from numina_kernels.joint_sequence import JointSequence

# Stands for the prompt where a template is taken apart; no template holds it.
_SLOT = "\0"


class HunyuanVideoAdapter(Adapter):
    """Text-to-video transformers of HunyuanVideo 1.0: joint attention, video first.

    Layers are the dual-stream blocks, then the single-stream ones.
    """

    def num_layers(self, transformer: nn.Module) -> int:
        return len(_blocks(transformer))

    def module(self, transformer: nn.Module, site: Site) -> nn.Module:
        block: Any = _blocks(transformer)[site.layer]
        attention: nn.Module = block.attn
        return attention

    def grid(self, transformer: nn.Module, forward: ForwardPass) -> VideoGrid:
        side = _config(transformer).patch_size
        _, _, frames, rows, columns = forward.latents.shape
        return VideoGrid(frames, rows // side, columns // side)

    def check(self, transformer: nn.Module, call: Mapping[str, Any]) -> None:
        config = _config(transformer)
        if config.image_condition_type is not None or config.in_channels != config.out_channels:
            raise UnsupportedModelError(
                f"this HunyuanVideo takes {config.in_channels} channels, predicts "
                f"{config.out_channels} and has image_condition_type "
                f"{config.image_condition_type!r}: it makes videos from images, which is not "
                "supported yet; use a text-to-video model"
            )
        if config.patch_size_t != 1:
            raise UnsupportedModelError(
                f"this HunyuanVideo has patch_size_t {config.patch_size_t}; numina reads patches "
                "of one latent frame, as all published models have them"
            )

    def prompt_frame(self, pipe: Any, call: Mapping[str, Any]) -> PromptFrame:
        given = call.get("prompt_template") or DEFAULT_PROMPT_TEMPLATE
        template, cropped = given["template"], given.get("crop_start")
        written = template.format(_SLOT)
        if (times := written.count(_SLOT)) != 1:
            raise UnsupportedModelError(
                f"prompt_template has the prompt {times} times, so that its nouns do not stand in "
                "one place; write {} once"
            )
        if not isinstance(cropped, int) or cropped < 0:
            raise UnsupportedModelError(
                f"prompt_template has crop_start {cropped!r}; pass the number of tokens before "
                "the prompt, so that the keys of its nouns are known"
            )
        before, _, after = written.partition(_SLOT)
        return PromptFrame(before, after, cropped)

    def holds_both_branches(self) -> bool:
        return False

    def guidance_scale(self, pipe: Any, call: Mapping[str, Any]) -> float:
        # guidance_scale is an input of the model; only true_cfg_scale adds an unconditional pass.
        scale = float(call.get("true_cfg_scale", 1.0))
        pair = ("negative_prompt_embeds", "negative_pooled_prompt_embeds")
        negative = call.get("negative_prompt") is not None or all(
            call.get(name) is not None for name in pair
        )
        return scale if scale > 1 and negative else 1.0

    def processor(self, stock: Any, attend: Attend, clock: Clock, layer: int) -> Any:
        require_stock(stock, (HunyuanVideoAttnProcessor2_0,), layer)
        return GuidedHunyuanVideoProcessor(stock, attend, clock, layer)


class GuidedHunyuanVideoProcessor(GuidedProcessor, HunyuanVideoAttnProcessor2_0):
    """``HunyuanVideoAttnProcessor2_0`` whose scores and softmax are computed by an ``Attend``."""

    def key_offset(self, mask: Tensor | None, joint: JointSequence | None) -> Tensor | None:
        return None if mask is None else offset_of(mask[:, 0, 0])

    # Attention.forward drops keyword arguments that are not in this signature.
    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        attention_mask: Tensor,  # [B, 1, 1, S] boolean
        image_rotary_emb: tuple[Tensor, Tensor],
    ) -> tuple[Tensor, Tensor]:
        joint = video_first(hidden_states, encoder_hidden_states)
        has_two = attn.add_q_proj is not None
        project = dual_stream if has_two else _single_stream
        query, key, value = project(
            attn, hidden_states, encoder_hidden_states, image_rotary_emb, joint
        )
        output = self.attention(query, key, value, attention_mask, joint)
        output = output.flatten(2, 3).to(query.dtype)
        video, text = output[:, joint.video_rows], output[:, joint.text_rows]
        if has_two:
            video, text = attn.to_out[1](attn.to_out[0](video)), attn.to_add_out(text)
        return video, text


def dual_stream(
    attn: Any, video: Tensor, text: Tensor, rotary: tuple[Tensor, Tensor], joint: JointSequence
) -> tuple[Tensor, ...]:
    """Query, key and value ``[B, S, H, D]`` of two streams with projections of their own."""
    query, key, value = in_heads(attn, video, (attn.to_q, attn.to_k, attn.to_v))
    query, key = (
        apply_rotary_emb(_normed(norm, x), rotary, sequence_dim=1)
        for norm, x in ((attn.norm_q, query), (attn.norm_k, key))
    )
    text_query, text_key, text_value = in_heads(
        attn, text, (attn.add_q_proj, attn.add_k_proj, attn.add_v_proj)
    )
    pairs = (
        (query, _normed(attn.norm_added_q, text_query)),
        (key, _normed(attn.norm_added_k, text_key)),
        (value, text_value),
    )
    return tuple(torch.cat(pair, dim=1) for pair in pairs)


def _single_stream(
    attn: Any, video: Tensor, text: Tensor, rotary: tuple[Tensor, Tensor], joint: JointSequence
) -> tuple[Tensor, ...]:
    """Query, key and value ``[B, S, H, D]`` of one stream."""
    sequence = torch.cat([video, text], dim=1)
    query, key, value = in_heads(attn, sequence, (attn.to_q, attn.to_k, attn.to_v))
    query, key = (
        torch.cat(
            [
                apply_rotary_emb(x[:, joint.video_rows], rotary, sequence_dim=1),
                x[:, joint.text_rows],
            ],
            dim=1,
        )
        for x in (_normed(attn.norm_q, query), _normed(attn.norm_k, key))
    )
    return query, key, value


def _normed(norm: nn.Module | None, x: Tensor) -> Tensor:
    """Normalised, where the model has a norm."""
    return x if norm is None else norm(x)


def _blocks(transformer: Any) -> list[nn.Module]:
    return [*transformer.transformer_blocks, *transformer.single_transformer_blocks]


def _config(transformer: nn.Module) -> Any:
    return transformer.config


ADAPTERS: dict[type[nn.Module], type[HunyuanVideoAdapter]] = {
    HunyuanVideoTransformer3DModel: HunyuanVideoAdapter
}

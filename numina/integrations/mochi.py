"""Mochi: one joint attention over video and the valid text alone, both branches in one pass."""

from collections.abc import Mapping
from typing import Any

import torch
from diffusers.models.attention_processor import MochiAttnProcessor2_0
from diffusers.models.transformers.transformer_mochi import MochiTransformer3DModel
from torch import Tensor, nn
from torch.nn import functional

from numina.attend import Attend, Attention, Clock
from numina.errors import ScheduleError
from numina.integrations.adapter import ForwardPass
from numina.integrations.blocks import GuidedProcessor, JointBlocks
from numina.integrations.joint_tokens import in_heads, offset_of, video_first
from numina.integrations.refusals import refuse_mixed_masks
from numina.integrations.seam import require_stock
from numina.video import VideoGrid
from numina_kernels.joint_sequence import JointSequence


class MochiAdapter(JointBlocks):
    """Text-to-video transformers of Mochi: joint attention, video first."""

    def grid(self, transformer: nn.Module, forward: ForwardPass) -> VideoGrid:
        config: Any = transformer.config
        _, _, frames, rows, columns = forward.latents.shape
        return VideoGrid(frames, rows // config.patch_size, columns // config.patch_size)

    def check(self, transformer: nn.Module, call: Mapping[str, Any]) -> None:
        refuse_mixed_masks(call, "Mochi")
        if call.get("num_inference_steps") == 1:
            raise ScheduleError(
                "num_inference_steps must be at least 2 for Mochi, whose schedule has a linear and "
                "a quadratic half, got 1"
            )

    def processor(self, stock: Any, attend: Attend, clock: Clock, layer: int) -> Any:
        require_stock(stock, (MochiAttnProcessor2_0,), layer)
        return GuidedMochiProcessor(stock, attend, clock, layer)


class GuidedMochiProcessor(GuidedProcessor, MochiAttnProcessor2_0):
    """``MochiAttnProcessor2_0`` whose scores and softmax are computed by an ``Attend``."""

    def stock(self, mask: Any, joint: Any, within: bool) -> Attention:
        return _attention_to(mask, joint)

    def key_offset(self, mask: Any, joint: Any) -> Tensor:
        offset: Tensor = joint.key_offset(offset_of(mask))
        return offset

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        attention_mask: Tensor,  # [B, K], not 0 where the text is valid
        image_rotary_emb: tuple[Tensor, Tensor],
    ) -> tuple[Tensor, Tensor]:
        joint = video_first(hidden_states, encoder_hidden_states)
        query, key, value = in_heads(attn, hidden_states, (attn.to_q, attn.to_k, attn.to_v))
        text_query, text_key, text_value = in_heads(
            attn, encoder_hidden_states, (attn.add_q_proj, attn.add_k_proj, attn.add_v_proj)
        )
        query = _rotated(attn.norm_q(query), *image_rotary_emb)
        key = _rotated(attn.norm_k(key), *image_rotary_emb)
        query = torch.cat([query, attn.norm_added_q(text_query)], dim=1)
        key = torch.cat([key, attn.norm_added_k(text_key)], dim=1)
        value = torch.cat([value, text_value], dim=1)

        output = self.attention(query, key, value, attention_mask != 0, joint).flatten(2)
        video, text = output[:, joint.video_rows], output[:, joint.text_rows]
        video = attn.to_out[1](attn.to_out[0](video))
        # The last block has no use for the text.
        return video, attn.to_add_out(text) if hasattr(attn, "to_add_out") else text


def _attention_to(valid: Tensor, joint: JointSequence) -> Attention:
    """The attention of Mochi: row by row among the video and the valid text, ``[B, K]``.

    Its output has zeros behind the tokens that attend, as many as text tokens that do not. Under
    guidance those have outputs as well, but nothing ever attends to them.
    """

    def attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        outputs = []
        for row in range(len(query)):
            own = (_attending(x[row], valid[row], joint) for x in (query, key, value))
            own_query, own_key, own_value = own
            output = functional.scaled_dot_product_attention(own_query, own_key, own_value)
            left_out = query.shape[1] - output.shape[2]
            outputs.append(functional.pad(output, (0, 0, 0, left_out)))
        return torch.cat(outputs).transpose(1, 2)

    return attention


def _attending(tokens: Tensor, valid: Tensor, joint: JointSequence) -> Tensor:
    """Tokens ``[S, H, D]`` of one row as ``[1, H, S', D]``, laid out as the stock code does."""
    tokens = tokens[None].transpose(1, 2)
    text = tokens[:, :, joint.text_rows]
    return torch.cat([tokens[:, :, joint.video_rows], text[:, :, valid.nonzero().flatten()]], dim=2)


def _rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary embedding on interleaved pairs in float32, one angle for each head."""
    even, odd = x[..., 0::2].float(), x[..., 1::2].float()
    pairs = ((even * cos - odd * sin).to(x.dtype), (even * sin + odd * cos).to(x.dtype))
    return torch.stack(pairs, dim=-1).flatten(-2)


ADAPTERS: dict[type[nn.Module], type[MochiAdapter]] = {MochiTransformer3DModel: MochiAdapter}

"""HunyuanVideo 1.5: one joint attention over video and a text that others are put in order with."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from diffusers import ClassifierFreeGuidance
from diffusers.models.transformers.transformer_hunyuan_video15 import (
    HunyuanVideo15AttnProcessor2_0,
    HunyuanVideo15Transformer3DModel,
)
from diffusers.pipelines.hunyuan_video1_5.pipeline_hunyuan_video1_5 import (
    extract_glyph_texts,
    format_text_input,
)
from torch import Tensor, nn

from numina.attend import Attend, Attention, Clock
from numina.errors import UnsupportedModelError
from numina.integrations.adapter import ForwardPass
from numina.integrations.blocks import GuidedProcessor, JointBlocks
from numina.integrations.chat_template import PROMPT_SLOT, text_around
from numina.integrations.hunyuan_video import dual_stream
from numina.integrations.joint_tokens import offset_of, video_first
from numina.integrations.refusals import refuse_arguments
from numina.integrations.seam import require_stock
from numina.integrations.stock_attention import DispatchedAttention
from numina.prompt.tokens import PromptFrame
from numina.video import VideoGrid
from numina_kernels.joint_sequence import JointSequence

_REFUSED: Mapping[str, str] = MappingProxyType(
    {
        "image": (
            "puts what it shows before the text, so that no noun stands where it would alone; use "
            "HunyuanVideo15Pipeline"
        )
    }
)


class HunyuanVideo15Adapter(JointBlocks):
    """Text-to-video transformers of HunyuanVideo 1.5: joint attention, video first.

    Behind the video stand the valid tokens of image, glyphs and prompt, then the masked ones.
    Without image and glyphs the prompt comes first, as its tokenizer has it.
    """

    attention = "attn"

    def holds_both_branches(self) -> bool:
        return False

    def grid(self, transformer: nn.Module, forward: ForwardPass) -> VideoGrid:
        config: Any = transformer.config
        side = config.patch_size
        _, _, frames, rows, columns = forward.latents.shape
        return VideoGrid(frames // config.patch_size_t, rows // side, columns // side)

    def frames_of_grid(
        self, transformer: nn.Module, forward: ForwardPass, latents: Tensor
    ) -> Tensor:
        config: Any = transformer.config
        # Behind the noisy latents stand those of an image and their mask, as channels.
        return latents[:, : config.out_channels]

    def check(self, transformer: nn.Module, call: Mapping[str, Any]) -> None:
        refuse_arguments(call, _REFUSED)
        config: Any = transformer.config
        if config.patch_size_t != 1:
            raise UnsupportedModelError(
                f"this HunyuanVideo 1.5 has patch_size_t {config.patch_size_t}; numina reads "
                "patches of one latent frame, as all published models have them"
            )
        prompts = call.get("prompt") or ()
        for prompt in [prompts] if isinstance(prompts, str) else prompts:
            if extract_glyph_texts(prompt) is not None:
                raise UnsupportedModelError(
                    f"the prompt {prompt!r} quotes text to be written, whose glyphs would stand "
                    "before the nouns; leave out the quotation marks"
                )

    def prompt_frame(self, pipe: Any, call: Mapping[str, Any]) -> PromptFrame:
        (messages,) = format_text_input([PROMPT_SLOT], pipe.system_message)
        return PromptFrame(
            *text_around(pipe.tokenizer, messages, add_generation_prompt=True),
            cropped=pipe.prompt_template_encode_start_idx,
            length=pipe.tokenizer_max_length,
            keys_behind=pipe.tokenizer_2_max_length + pipe.vision_num_semantic_tokens,
        )

    def guidance_scale(self, pipe: Any, call: Mapping[str, Any]) -> float:
        guider = pipe.guider
        plain = type(guider) is ClassifierFreeGuidance
        if not plain or guider.guidance_rescale or guider.use_original_formulation:
            raise UnsupportedModelError(
                f"{type(guider).__name__} with guidance_rescale "
                f"{getattr(guider, 'guidance_rescale', None)!r} combines the branches in a way "
                "that is not known when a step is looked at; use a plain ClassifierFreeGuidance"
            )
        return float(guider.guidance_scale) if guider.num_conditions > 1 else 1.0

    def processor(self, stock: Any, attend: Attend, clock: Clock, layer: int) -> Any:
        require_stock(stock, (HunyuanVideo15AttnProcessor2_0,), layer)
        return GuidedHunyuanVideo15Processor(stock, attend, clock, layer)


class GuidedHunyuanVideo15Processor(GuidedProcessor, HunyuanVideo15AttnProcessor2_0):
    """``HunyuanVideo15AttnProcessor2_0`` whose scores and softmax are an ``Attend``'s."""

    def stock(self, mask: Any, joint: Any, within: bool) -> Attention:
        return _AmongValid(self._attention_backend, mask, joint)

    def key_offset(self, mask: Any, joint: Any) -> Tensor:
        offset: Tensor = joint.key_offset(offset_of(mask))
        return offset

    # Attention.forward drops keyword arguments that are not in this signature.
    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        attention_mask: Tensor,  # [B, K] boolean
        image_rotary_emb: tuple[Tensor, Tensor],
    ) -> tuple[Tensor, Tensor]:
        joint = video_first(hidden_states, encoder_hidden_states)
        query, key, value = dual_stream(
            attn, hidden_states, encoder_hidden_states, image_rotary_emb, joint
        )
        output = self.attention(query, key, value, attention_mask.bool(), joint)
        output = output.flatten(2, 3).to(query.dtype)
        video, text = output[:, joint.video_rows], output[:, joint.text_rows]
        return attn.to_out[1](attn.to_out[0](video)), attn.to_add_out(text)


@dataclass(frozen=True, eq=False)
class _AmongValid:
    """The model's own attention: nobody attends to masked text, nor does masked text to anybody.

    Its mask of all pairs is made when it is called, and not where ours attends in its place.
    """

    backend: Any
    valid: Tensor  # [B, K]
    joint: JointSequence

    def __call__(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        whole = self.joint.key_offset(offset_of(self.valid[: len(query)])) == 0
        mask = whole[:, None, None, :] & whole[:, None, :, None]
        return DispatchedAttention(self.backend, mask)(query, key, value)


ADAPTERS: dict[type[nn.Module], type[HunyuanVideo15Adapter]] = {
    HunyuanVideo15Transformer3DModel: HunyuanVideo15Adapter
}

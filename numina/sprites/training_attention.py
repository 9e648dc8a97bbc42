"""Attention during training: softmax written out, and the text padding folded into one key.

Two facts make training on a processor affordable. The backward pass of fused CPU attention takes
half of a step; written as batched products it is twice as fast. And `WanPipeline` pads a prompt
with rows of zeros to 512 and attends to them
without a mask: all those rows give the same key and the same value, so n of them weigh exactly as
one whose score is raised by log n.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from diffusers import WanTransformer3DModel
from diffusers.models.transformers.transformer_wan import WanAttention

# The pipeline's default `max_sequence_length`.
TEXT_LENGTH = 512


def use_training_attention(transformer: WanTransformer3DModel) -> None:
    """Install the processors of this file on every attention of the transformer."""
    for block in transformer.blocks:
        block.attn1.set_processor(TrainingProcessor())
        block.attn2.set_processor(TrainingProcessor())


def fold_padding(embeddings: torch.Tensor) -> torch.Tensor:
    """Append one row of zeros for all up to `TEXT_LENGTH`; ``[B, K, C]`` to ``[B, K + 1, C]``."""
    if embeddings.shape[1] >= TEXT_LENGTH:
        raise ValueError(
            f"embeddings must have fewer than {TEXT_LENGTH} rows, got {embeddings.shape[1]}"
        )
    return torch.cat([embeddings, torch.zeros_like(embeddings[:, :1])], dim=1)


class TrainingProcessor:
    """The stock Wan attention with another core; the last text key stands for the padding."""

    _attention_backend = None
    _parallel_config = None

    def __call__(
        self,
        attn: WanAttention,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        rotary_emb: tuple[torch.Tensor, torch.Tensor] | None = None,
    ) -> torch.Tensor:
        if attention_mask is not None:
            raise ValueError("attention_mask must be None in training")
        source = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query = attn.norm_q(attn.to_q(hidden_states)).unflatten(2, (attn.heads, -1))
        key = attn.norm_k(attn.to_k(source)).unflatten(2, (attn.heads, -1))
        value = attn.to_v(source).unflatten(2, (attn.heads, -1))
        if rotary_emb is not None:
            query, key = _rotate(query, *rotary_emb), _rotate(key, *rotary_emb)
        raised = (
            0.0 if encoder_hidden_states is None else math.log(TEXT_LENGTH - source.shape[1] + 1)
        )
        mixed = _attend(query, key, value, raised)
        return attn.to_out[1](attn.to_out[0](mixed.flatten(2, 3)))


def _rotate(tensor: torch.Tensor, cosines: torch.Tensor, sines: torch.Tensor) -> torch.Tensor:
    first, second = tensor.unflatten(-1, (-1, 2)).unbind(-1)
    cosine, sine = cosines[..., 0::2], sines[..., 1::2]
    turned = torch.stack([first * cosine - second * sine, first * sine + second * cosine], dim=-1)
    return turned.flatten(-2).type_as(tensor)


@torch.compiler.disable
def _attend(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, raised: float
) -> torch.Tensor:
    """Attention over ``[B, S, H, D]``, the last key's score raised by `raised`."""
    batch, _, heads, head_dim = query.shape
    dtype = torch.bfloat16 if torch.is_autocast_enabled("cpu") else query.dtype
    with torch.autocast("cpu", enabled=False):
        folded = [
            tensor.to(dtype).transpose(1, 2).reshape(batch * heads, -1, head_dim)
            for tensor in (query * head_dim**-0.5, key, value)
        ]
        mixed: torch.Tensor = _SoftmaxAttention.apply(*folded, raised)
    return mixed.view(batch, heads, -1, head_dim).transpose(1, 2)


class _SoftmaxAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, raised: float
    ) -> torch.Tensor:
        scores = torch.bmm(query, key.transpose(1, 2))
        if raised:
            scores[:, :, -1] += raised
        probs = torch.softmax(scores, dim=-1)
        ctx.save_for_backward(query, key, value, probs)
        return torch.bmm(probs, value)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        query, key, value, probs = ctx.saved_tensors
        gradient = gradients[0].contiguous()
        for_value = torch.bmm(probs.transpose(1, 2), gradient)
        for_probs = torch.bmm(gradient, value.transpose(1, 2))
        for_scores = torch._softmax_backward_data(for_probs, probs, -1, probs.dtype)
        return (
            torch.bmm(for_scores, key),
            torch.bmm(for_scores.transpose(1, 2), query),
            for_value,
            None,
        )

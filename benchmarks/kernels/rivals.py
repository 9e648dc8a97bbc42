"""The other ways to the same result: torch's attention, FlexAttention, xformers, a stored map."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from benchmarks.kernels.text_attention import TextAttention
from numina_kernels import token_probs
from numina_kernels.impl import Impl

Bias = Literal["none", "layout", "dense"]
Call = Callable[[], Any]

# None leaves the choice to torch. Whatever is asked for, the kernel that ran is recorded.
BACKENDS: dict[str, SDPBackend | None] = {
    "default": None,
    "flash": SDPBackend.FLASH_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "math": SDPBackend.MATH,
}


@dataclass(frozen=True)
class Provider:
    """One way to compute an attention.

    Attributes:
        name: As the result file calls it.
        build: Makes the call that is timed; raises where the provider cannot run here. A call
            returns its output first.
        bias: How the bias of the layout reaches it.
        result: What it computes: the output, or the probabilities of the nouns.
        least_bytes: Device memory that has to be read and written at least; None where the time
            is not a matter of that.
        note: What a reader must know to compare it.
    """

    name: str
    build: Callable[[], Call]
    bias: Bias = "none"
    result: Literal["output", "probs"] = "output"
    least_bytes: int | None = None
    note: str | None = None


def sdpa(query: Tensor, key: Tensor, value: Tensor) -> Iterator[Provider]:
    """``scaled_dot_product_attention`` without a bias, by every backend."""
    for name, backend in BACKENDS.items():
        yield Provider(f"sdpa {name}", lambda b=backend: _sdpa(query, key, value, b, None))


def sdpa_dense(inputs: TextAttention, prefix: str = "sdpa") -> Iterator[Provider]:
    """The same with the bias written out, in the dtype of the query.

    A float32 bias beside bfloat16 queries is never tried: cuDNN is silently wrong with it.
    """
    for name, backend in BACKENDS.items():
        yield Provider(
            f"{prefix} {name}, dense bias",
            lambda b=backend: _sdpa(inputs.query, inputs.key, inputs.value, b, inputs.dense),
            bias="dense",
        )


def _sdpa(
    query: Tensor, key: Tensor, value: Tensor, backend: SDPBackend | None, dense: Tensor | None
) -> Call:
    def attend() -> Tensor:
        tensors = (tensor.transpose(1, 2) for tensor in (query, key, value))
        return F.scaled_dot_product_attention(*tensors, attn_mask=dense).transpose(1, 2)

    def by_backend() -> Tensor:
        with sdpa_kernel(backend):
            return attend()

    return attend if backend is None else by_backend


def flex(inputs: TextAttention) -> Provider:
    """FlexAttention with the bias of the layout as ``score_mod``, compiled on a GPU."""
    on_gpu = inputs.query.device.type == "cuda"

    def build() -> Call:
        from torch.nn.attention.flex_attention import flex_attention

        attend = flex_attention
        if on_gpu:
            # After eight shapes it falls to a path that stores the scores, with only a warning.
            torch._dynamo.reset()
            attend = torch.compile(flex_attention, dynamic=False, fullgraph=True)
        bias = inputs.bias
        noun_of_key, labels = inputs.groups.index[0].int(), bias.labels[0].int()
        table, strength = bias.table[0, 0], bias.strength

        def score_mod(score: Tensor, b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
            noun = noun_of_key[k]
            row = torch.where(noun < 0, 0, noun)
            return torch.where(noun < 0, score, score + strength * table[row, labels[row, q]])

        tensors = [tensor.transpose(1, 2) for tensor in (inputs.query, inputs.key, inputs.value)]
        return lambda: attend(*tensors, score_mod=score_mod).transpose(1, 2)

    note = None if on_gpu else "not compiled: it stores the scores"
    return Provider("flex", build, bias="layout", note=note)


def xformers(inputs: TextAttention) -> Iterator[Provider]:
    """xformers' memory-efficient attention, without a bias and with the one written out."""

    def build(dense: bool) -> Call:
        from xformers.ops import memory_efficient_attention

        tensors = (inputs.query, inputs.key, inputs.value)
        if not dense:
            return lambda: memory_efficient_attention(*tensors)
        # Broadcast by strides alone: it takes exactly [B, H, Q, K].
        heads = inputs.query.shape[2]
        bias = inputs.dense.expand(-1, heads, -1, -1)
        return lambda: memory_efficient_attention(*tensors, attn_bias=bias)

    yield Provider("xformers", lambda: build(False))
    yield Provider("xformers, dense bias", lambda: build(True), bias="dense")


def stored_probs(inputs: TextAttention) -> Provider:
    """Noun probabilities from a map that is stored for all queries and keys."""
    return Provider(
        "stored map, probs",
        lambda: lambda: token_probs(inputs.query, inputs.key, inputs.groups, impl=Impl.REFERENCE),
        result="probs",
    )


def stored_sketch(query: Tensor, key: Tensor, columns: Tensor) -> Provider:
    """Three products with the maps of all frames ``[F, H, N, N]``, one frame stored at a time."""

    def sketch() -> Tensor:
        products = torch.empty_like(columns)
        for frame in range(len(query)):
            q, k, x = (each[frame].transpose(0, 1) for each in (query, key, columns))  # [H, N, D]
            probs = (q @ k.mT * query.shape[-1] ** -0.5).softmax(-1, torch.float32).to(x.dtype)
            products[frame] = (probs @ (probs.mT @ (probs @ x))).transpose(0, 1)
        return products

    return Provider("stored map, sketch", lambda: sketch, note="scores are rounded as the query is")

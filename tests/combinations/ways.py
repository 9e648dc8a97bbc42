"""Ways to run a large model on one GPU, each of them a change to a pipeline, and what must hold."""

from collections.abc import Callable
from typing import Any

import torch
from accelerate import cpu_offload
from diffusers.hooks import apply_group_offloading

from tests.pipeline.wide_runs import Finds, counted, left_as_it_was

CPU = torch.device("cpu")


def models_of(pipe: Any) -> list[torch.nn.Module]:
    return [part for part in pipe.components.values() if isinstance(part, torch.nn.Module)]


def model_offload(pipe: Any) -> None:
    # Without a device diffusers asks for an accelerator; with one it installs its hooks anywhere.
    pipe.enable_model_cpu_offload(device="cpu")


def sequential_offload(pipe: Any) -> None:
    # As diffusers does it, which numbers its device: accelerate cannot load weights to "cpu:0".
    for model in models_of(pipe):
        cpu_offload(model, CPU, offload_buffers=len(model._parameters) > 0)


def block_offload(pipe: Any) -> None:
    for model in models_of(pipe):
        apply_group_offloading(model, CPU, CPU, "block_level", num_blocks_per_group=1)


def leaf_offload(pipe: Any) -> None:
    for model in models_of(pipe):
        apply_group_offloading(model, CPU, CPU, "leaf_level")


def layerwise_casting(pipe: Any) -> None:
    pipe.transformer.enable_layerwise_casting(
        storage_dtype=torch.float8_e4m3fn, compute_dtype=torch.float32
    )


def fused_projections(pipe: Any) -> None:
    pipe.transformer.fuse_qkv_projections()


def native_backend(pipe: Any) -> None:
    pipe.transformer.set_attention_backend("native")


def math_backend(pipe: Any) -> None:
    pipe.transformer.set_attention_backend("_native_math")


WAYS: dict[str, Callable[[Any], None]] = {
    way.__name__: way
    for way in (
        model_offload,
        sequential_offload,
        block_offload,
        leaf_offload,
        layerwise_casting,
        fused_projections,
        native_backend,
        math_backend,
    )
}


def counts_are_kept(pipe: Any, **changes: Any) -> None:
    """Right counts are the plain run bit for bit, wrong ones are guided, all is put back."""
    with left_as_it_was(pipe, **changes) as plain:
        right = counted(pipe, Finds(found=(3,)), "one-pass", **changes)
        assert right.report.decision == "continued"
        assert torch.equal(right.frames, plain)
        for mode in ("one-pass", "restart"):
            wrong = counted(pipe, Finds(found=(2, 3)), mode, **changes)
            assert wrong.report.decision == "guided"
            assert not torch.equal(wrong.frames, plain)

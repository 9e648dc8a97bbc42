"""generate() on transformers whose weights are quantised, loaded as diffusers loads them."""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import GGUFQuantizationConfig, TorchAoConfig, WanTransformer3DModel

from tests.combinations.ways import counts_are_kept
from tests.tiny_cogvideox import wide_kwargs
from tests.tiny_wan import tiny_wan


def wide_heads() -> Any:
    """Every linear layer takes a multiple of 32, which is the block of most quantisations."""
    return tiny_wan(heads=2, head_dim=16)


def are_kept(pipe: Any, transformer: torch.nn.Module) -> None:
    """Counts are kept with a quantised transformer in the place of the pipeline's own."""
    exact = pipe(**wide_kwargs()).frames
    pipe.transformer = transformer
    rounded = pipe(**wide_kwargs()).frames.float()
    assert not torch.equal(rounded, exact)
    assert torch.nn.functional.mse_loss(rounded, exact) < exact.var()
    counts_are_kept(pipe)


def test_counts_are_kept_with_weights_of_a_gguf_file(tmp_path):
    gguf = pytest.importorskip("gguf", reason="the package gguf reads and writes such files")
    pipe = wide_heads()
    pipe.transformer.save_config(tmp_path)
    file = written_as_gguf(gguf, pipe.transformer, tmp_path / "tiny.gguf")
    transformer = WanTransformer3DModel.from_single_file(
        str(file),
        config=str(tmp_path),
        quantization_config=GGUFQuantizationConfig(compute_dtype=torch.float32),
        dtype=torch.float32,
    )
    for attention in (transformer.blocks[0].attn1, transformer.blocks[0].attn2):
        assert type(attention.to_q).__name__ == "GGUFLinear"
        assert attention.to_q.weight.dtype == torch.uint8
    are_kept(pipe, transformer)


def written_as_gguf(gguf: Any, transformer: torch.nn.Module, file: Path) -> Path:
    """The linear layers of the blocks in blocks of 8-bit numbers, all else in float32."""
    eight_bit = gguf.GGMLQuantizationType.Q8_0
    writer = gguf.GGUFWriter(file, "wan")
    for name, tensor in transformer.state_dict().items():
        values = tensor.numpy()
        if name.startswith("blocks.") and name.endswith(".weight") and tensor.ndim == 2:
            writer.add_tensor(name, gguf.quants.quantize(values, eight_bit), raw_dtype=eight_bit)
        else:
            writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def test_counts_are_kept_with_int8_weights_of_torchao(tmp_path):
    quantization = pytest.importorskip("torchao.quantization", reason="needs torchao")
    pipe = wide_heads()
    pipe.transformer.save_pretrained(tmp_path)
    transformer = WanTransformer3DModel.from_pretrained(
        tmp_path,
        quantization_config=TorchAoConfig(quantization.Int8WeightOnlyConfig()),
        dtype=torch.bfloat16,
    )
    for attention in (transformer.blocks[0].attn1, transformer.blocks[0].attn2):
        assert type(attention.to_q.weight.data).__module__.startswith("torchao")
    are_kept(pipe, transformer)


def test_counts_are_kept_with_4_bit_weights_of_bitsandbytes():
    """The layers that diffusers puts in; on a CPU it refuses to do so itself."""
    layers = pytest.importorskip("bitsandbytes.nn", reason="needs bitsandbytes")
    pipe = wide_heads()
    transformer = wide_heads().transformer
    for block in transformer.blocks:
        for attention in (block.attn1, block.attn2):
            for name in ("to_q", "to_k", "to_v"):
                exact = getattr(attention, name)
                rounded = layers.Linear4bit(
                    exact.in_features, exact.out_features, compute_dtype=torch.float32
                )
                rounded.load_state_dict(exact.state_dict())
                # The weights are quantised when they are moved.
                setattr(attention, name, rounded.to("cpu"))
                assert rounded.weight.dtype == torch.uint8
    are_kept(pipe, transformer)

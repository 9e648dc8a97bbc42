"""What numina adds to each family at its usual sizes: ``python benchmarks/accounting.py --out F``.

Transformers of the published configurations are built on the meta device, without weights, and
nothing is timed: bytes and operations follow from sizes. ``tests/run/test_accounting.py`` holds
the same account against what tiny models really allocate.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import diffusers
import numpy as np
import torch
from diffusers.pipelines.ltx import pipeline_ltx as ltx
from diffusers.pipelines.mochi import pipeline_mochi as mochi

from benchmarks.kernels.provenance import commit
from numina.attention.accounting import Machine
from numina.estimating import Estimate, estimate
from numina.integrations import noise_scale
from numina.methods.method import Mode
from numina.versions import installed_versions
from numina_kernels.impl import Impl

GPU = Machine(Impl.TRITON, "cuda")
NOUNS = (1, 3, 8)
# Of a noun: one token, three with its attribute and numeral, six where it falls apart.
KEYS_OF_A_NOUN = (1, 3, 6)
WAYS: tuple[tuple[str, Mode], ...] = (
    ("robust", "one-pass"),
    ("robust", "restart"),
    ("paper", "restart"),
)


@dataclass(frozen=True)
class Model:
    """A published model and the size it is usually run at.

    Attributes:
        name: As in the table.
        kind: diffusers' class of its transformer.
        config: Arguments that differ from the defaults of that class.
        factors: Pixels and frames of a latent.
        call: Height, width, frames and text keys of a call.
        levels: Noise level of every step of a run.
        source: Where configuration and size come from.
    """

    name: str
    kind: str
    config: dict[str, Any]
    factors: tuple[int, int]
    call: dict[str, int]
    levels: Callable[[int], tuple[float, ...]]
    source: str = "defaults of diffusers' class and pipeline"


def scheduled(kind: str, **config: Any) -> Callable[[int], tuple[float, ...]]:
    """Noise levels of a scheduler that is given the number of steps."""

    def levels(steps: int) -> tuple[float, ...]:
        scheduler = getattr(diffusers, kind)(**config)
        scheduler.set_timesteps(steps)
        return noise_scale(scheduler).levels(scheduler)

    return levels


def from_levels(
    own: Callable[[int], Any], mu: float | None = None, **config: Any
) -> Callable[[int], tuple[float, ...]]:
    """Noise levels of a flow-matching scheduler that is given levels, and a shift, by its pipeline.

    ``mu`` is that of the sequence of the size at hand.
    """

    def levels(steps: int) -> tuple[float, ...]:
        scheduler = diffusers.FlowMatchEulerDiscreteScheduler(**config)
        shifted = {} if mu is None else {"mu": mu}
        scheduler.set_timesteps(sigmas=own(steps), **shifted)
        return noise_scale(scheduler).levels(scheduler)

    return levels


def size(height: int, width: int, num_frames: int, text: int, steps: int = 50) -> dict[str, int]:
    return {
        "height": height,
        "width": width,
        "num_frames": num_frames,
        "max_sequence_length": text,
        "num_inference_steps": steps,
    }


WAN_SMALL = {
    "num_attention_heads": 12, "attention_head_dim": 128, "num_layers": 30, "ffn_dim": 8960
}  # fmt: skip
WAN_5B = {
    "num_attention_heads": 24, "attention_head_dim": 128, "num_layers": 30, "ffn_dim": 14336,
    "in_channels": 48, "out_channels": 48,
}  # fmt: skip
WAN_SOURCE = "the Wan team's wan/configs, as kept in ml-explore/mlx-examples; for {}"
COGVIDEOX_5B = {
    "num_attention_heads": 48, "num_layers": 42, "use_rotary_positional_embeddings": True
}  # fmt: skip
COGVIDEOX_15 = {**COGVIDEOX_5B, "patch_size_t": 2, "patch_bias": False}
KNOWN = "as known of {}, whose files were not read; rest by class defaults"
COGVIDEOX_SOURCE = KNOWN.format("zai-org/{}")
SKYREELS_14B = {"num_attention_heads": 40, "num_layers": 40}
# Those of the autoencoder of HunyuanVideo, which it uses.
KANDINSKY_LATENTS = {"in_visual_dim": 16, "out_visual_dim": 16}
COSMOS_2B = {"num_attention_heads": 16}


def wan(shift: float) -> Callable[[int], tuple[float, ...]]:
    flow = {"prediction_type": "flow_prediction", "use_flow_sigmas": True}
    return scheduled("UniPCMultistepScheduler", **flow, flow_shift=shift)


def cogvideox(shift: float) -> Callable[[int], tuple[float, ...]]:
    return scheduled(
        "CogVideoXDDIMScheduler",
        prediction_type="v_prediction",
        timestep_spacing="trailing",
        rescale_betas_zero_snr=True,
        snr_shift_scale=shift,
    )


def hunyuan_video(shift: float) -> Callable[[int], tuple[float, ...]]:
    return from_levels(lambda steps: np.linspace(1.0, 0.0, steps + 1)[:-1], shift=shift)


def ltx_video(patches: int) -> Callable[[int], tuple[float, ...]]:
    return from_levels(
        lambda steps: np.linspace(1.0, 1 / steps, steps),
        mu=ltx.calculate_shift(patches, 1024, 4096, 0.95, 2.05),
        use_dynamic_shifting=True,
        shift_terminal=0.1,
    )


MOCHI = from_levels(
    lambda steps: np.array(mochi.linear_quadratic_schedule(steps, 0.025)), invert_sigmas=True
)
ALLEGRO = scheduled("EulerAncestralDiscreteScheduler")
KANDINSKY_5 = scheduled("FlowMatchEulerDiscreteScheduler", shift=5.0)
COSMOS_10 = scheduled("EDMEulerScheduler")
COSMOS_25 = scheduled(
    "UniPCMultistepScheduler",
    prediction_type="flow_prediction",
    use_flow_sigmas=True,
    use_karras_sigmas=True,
    sigma_min=0.01,
    sigma_max=200.0,
)

MODELS = (
    Model("Wan 2.1 1.3B, 480p", "WanTransformer3DModel", WAN_SMALL, (8, 4),
          size(480, 832, 81, 512), wan(3.0), WAN_SOURCE.format("Wan2.1-T2V-1.3B-Diffusers")),
    Model("Wan 2.1 14B, 480p", "WanTransformer3DModel", {}, (8, 4),
          size(480, 832, 81, 512), wan(3.0), WAN_SOURCE.format("Wan2.1-T2V-14B-Diffusers")),
    Model("Wan 2.1 14B, 720p", "WanTransformer3DModel", {}, (8, 4),
          size(720, 1280, 81, 512), wan(5.0), WAN_SOURCE.format("Wan2.1-T2V-14B-Diffusers")),
    Model("Wan 2.2 TI2V 5B, 720p", "WanTransformer3DModel", WAN_5B, (16, 4),
          size(704, 1280, 121, 512), wan(5.0), WAN_SOURCE.format("Wan2.2-TI2V-5B-Diffusers")),
    Model("CogVideoX 2B", "CogVideoXTransformer3DModel", {}, (8, 4),
          size(480, 720, 49, 226), cogvideox(3.0), COGVIDEOX_SOURCE.format("CogVideoX-2b")),
    Model("CogVideoX 5B", "CogVideoXTransformer3DModel", COGVIDEOX_5B, (8, 4),
          size(480, 720, 49, 226), cogvideox(1.0), COGVIDEOX_SOURCE.format("CogVideoX-5b")),
    Model("CogVideoX 1.5 5B", "CogVideoXTransformer3DModel", COGVIDEOX_15, (8, 4),
          size(768, 1360, 81, 226), cogvideox(1.0), COGVIDEOX_SOURCE.format("CogVideoX1.5-5B")),
    Model("HunyuanVideo", "HunyuanVideoTransformer3DModel", {}, (8, 4),
          size(720, 1280, 129, 256), hunyuan_video(7.0)),
    Model("HunyuanVideo 1.5, 480p", "HunyuanVideo15Transformer3DModel", {}, (16, 4),
          size(480, 848, 121, 1985), hunyuan_video(5.0),
          "defaults of diffusers' class and pipeline; 1,000 keys of text, 256 of glyphs, 729 of an "
          "image; shift as known of the models"),
    Model("LTX-Video 0.9", "LTXVideoTransformer3DModel", {}, (32, 8),
          size(512, 704, 161, 128), ltx_video(21 * 16 * 22)),
    Model("LTX-2, by text alone", "LTX2VideoTransformer3DModel", {}, (32, 8),
          size(512, 768, 121, 1024, 30), ltx_video(16 * 16 * 24)),
    Model("Mochi", "MochiTransformer3DModel", {}, (8, 6), size(480, 848, 85, 256, 64), MOCHI,
          "defaults of diffusers' class; 85 frames as its example has them"),
    Model("Allegro", "AllegroTransformer3DModel", {}, (8, 4), size(720, 1280, 88, 512, 100),
          ALLEGRO, "defaults of diffusers' classes, of the scheduler too"),
    Model("SkyReels-V2 14B, 540p", "SkyReelsV2Transformer3DModel", SKYREELS_14B, (8, 4),
          size(544, 960, 97, 512), wan(8.0), KNOWN.format("Skywork/SkyReels-V2-T2V-14B-540P")),
    Model("Kandinsky 5", "Kandinsky5Transformer3DModel", KANDINSKY_LATENTS, (8, 4),
          size(512, 768, 121, 512), KANDINSKY_5,
          "defaults of diffusers' class and pipeline; channels and shift as known of the models"),
    Model("Cosmos 1.0 7B", "CosmosTransformer3DModel", {}, (8, 8),
          size(704, 1280, 121, 512, 36), COSMOS_10),
    Model("Cosmos 2.5 2B", "CosmosTransformer3DModel", COSMOS_2B, (8, 4),
          size(704, 1280, 93, 512, 36), COSMOS_25, KNOWN.format("nvidia/Cosmos-Predict2.5-2B")),
)  # fmt: skip


def pipeline(model: Model) -> Any:
    """What `estimate` reads of a pipeline: sizes, and no weights."""
    with torch.device("meta"):
        transformer = getattr(diffusers, model.kind)(**model.config)
    for parameter in transformer.parameters():
        parameter.data = parameter.data.to(torch.bfloat16)
    spatial, temporal = model.factors
    return SimpleNamespace(
        transformer=transformer,
        vae_scale_factor_spatial=spatial,
        vae_scale_factor_temporal=temporal,
    )


def rows(models: Sequence[Model] = MODELS) -> Iterator[dict[str, Any]]:
    """One row for every model, way of running it, number of nouns, and number of their keys."""
    for model in models:
        pipe, noises = pipeline(model), model.levels(model.call["num_inference_steps"])
        for (preset, mode), nouns, keys in product(WAYS, NOUNS, KEYS_OF_A_NOUN):
            told = estimate(
                pipe,
                nouns=nouns,
                noun_keys=nouns * keys,
                preset=preset,
                mode=mode,
                noises=noises,
                machine=GPU,
                **model.call,
            )
            yield row(model, preset, told)


def row(model: Model, preset: str, told: Estimate) -> dict[str, Any]:
    return {
        "model": model.name,
        "source": model.source,
        "preset": preset,
        "mode": told.mode,
        "grid": told.size.grid.shape,
        "text keys": told.size.text,
        "layers": told.size.layers,
        "heads": told.size.heads,
        "head dim": told.size.head_dim,
        "joint": told.size.joint,
        "nouns": told.size.nouns,
        "noun keys": told.size.noun_keys,
        "device bytes": told.device_bytes,
        "throughout": told.clean.bytes + told.plan.bytes,
        "behind a forward pass": told.prediction.bytes,
        "at a look": told.look.bytes,
        "head statistics": told.heads.bytes,
        "in a guided layer": told.guidance.bytes,
        "host bytes": told.host_bytes,
        "forwards, right": told.forwards.right,
        "forwards, wrong": told.forwards.wrong,
        "flops, plain attention": told.work.plain,
        "flops, looks": told.work.looks,
        "flops, guidance": told.work.guidance,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="a file that is not there yet")
    options = parser.parse_args(arguments)
    told = {
        "command": "python benchmarks/accounting.py",
        **commit(),
        "versions": installed_versions(),
        "machine": {"impl": GPU.impl.value, "device": GPU.device_type},
        "rows": list(rows()),
    }
    with options.out.open("x", encoding="utf-8") as file:
        json.dump(told, file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main()

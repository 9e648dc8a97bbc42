"""Load a diffusers pipeline by folder or hub name: safe weights, one commit, no code of others."""

import inspect
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numina.errors import FormatError, UnsupportedModelError

_INDEX = "model_index.json"
# Pipelines that hand latents to the autoencoder in the transformer's dtype, which it must share.
_DECODES_AS_DENOISED = ("CogVideoX", "Mochi")
# Pipelines whose autoencoder decodes in tiles alone.
_DECODES_IN_TILES = "Allegro"
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True, eq=False)
class LoadedPipeline:
    """A pipeline ready to run.

    Attributes:
        pipe: The diffusers pipeline.
        name: The folder's own name, or the hub name.
        revision: Commit of a hub model, so that the very same one can be had again.
    """

    pipe: Any
    name: str
    revision: str | None


def load_pipeline(
    model: str,
    *,
    revision: str | None = None,
    device: str = "auto",
    dtype: str = "auto",
    offload: bool = False,
    with_image: bool | None = None,
) -> LoadedPipeline:
    """Load a pipeline.

    Only safetensors are read, never pickles, and only classes of diffusers and transformers are
    built. A hub name is resolved to a commit first and everything is loaded from that one.

    Args:
        model: A folder with a ``model_index.json``, or a hub name ``owner/name``.
        revision: Commit, tag or branch of a hub model; its main branch by default.
        device: ``"auto"`` (CUDA where there is one), ``"cuda"`` or ``"cpu"``.
        dtype: A torch dtype by name; ``"auto"`` is bfloat16 on CUDA, float32 on a CPU. The
            autoencoder stays in float32, in which it was trained, where the pipeline allows it.
        offload: Move parts to the device only while they work.
        with_image: Whether the pipeline will be given an image; None where that is not known.

    Raises:
        FormatError: If there is no such model, or it is damaged.
        UnsupportedModelError: If its pipeline is none of diffusers' own, or takes no image though
            there is one, or the other way round.
    """
    index, commit = _index(model, revision)
    pipeline_class = _pipeline_class(model, index)
    if with_image is not None:
        _check_image(model, pipeline_class, with_image)

    import torch

    place, dtype = placement(device, dtype)
    chosen = {"default": getattr(torch, dtype)}
    if not pipeline_class.__name__.startswith(_DECODES_AS_DENOISED):
        chosen["vae"] = torch.float32
    try:
        pipe = pipeline_class.from_pretrained(
            model, revision=commit, dtype=chosen, use_safetensors=True
        )
    except (OSError, ValueError, KeyError) as error:
        raise FormatError(f"{model} cannot be loaded: {_first_line(error)}") from error
    if pipeline_class.__name__.startswith(_DECODES_IN_TILES):
        pipe.vae.enable_tiling()
    if offload:
        # Without a number diffusers takes the first GPU, whichever is the current one.
        gpu = torch.cuda.current_device() if place == "cuda" else None
        pipe.enable_model_cpu_offload(gpu_id=gpu, device=place)
    else:
        pipe.to(place)
    name = Path(model).resolve().name if Path(model).is_dir() else model
    return LoadedPipeline(pipe, name, commit)


def placement(device: str, dtype: str) -> tuple[str, str]:
    """Device and precision with ``"auto"`` resolved: bfloat16 on CUDA, float32 on the CPU.

    Raises:
        UnsupportedModelError: If CUDA was asked for and there is none.
    """
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise UnsupportedModelError("device 'cuda' was asked for, but torch finds no CUDA device")
    place = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    if dtype == "auto":
        dtype = "bfloat16" if place == "cuda" else "float32"
    return place, dtype


def commit_of(model: str, revision: str | None = None) -> str | None:
    """The commit that ``load_pipeline`` would load; None for a folder.

    Raises:
        FormatError: If there is no such model, or its index is damaged.
        UnsupportedModelError: If its pipeline is none of diffusers' own.
    """
    index, commit = _index(model, revision)
    _pipeline_class(model, index)
    return commit


def model_files(model: str, revision: str | None = None) -> tuple[type[Any], Path, dict[str, Any]]:
    """The pipeline's class, its folder without weights, and its index.

    Raises:
        FormatError: If there is no such model, or its index is damaged.
        UnsupportedModelError: If its pipeline is none of diffusers' own.
    """
    index, commit = _index(model, revision)
    pipeline_class = _pipeline_class(model, index)
    if commit is None:
        return pipeline_class, Path(model), index
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        folder = snapshot_download(model, revision=commit, allow_patterns=["*.json", "tokenizer/*"])
    except (HfHubHTTPError, OSError, ValueError) as error:
        raise FormatError(f"{model} cannot be had from the hub: {_first_line(error)}") from error
    return pipeline_class, Path(folder), index


def _index(model: str, revision: str | None) -> tuple[dict[str, Any], str | None]:
    """The model's index, and its commit where it comes from the hub."""
    if model and Path(model).is_dir():
        if revision is not None:
            raise FormatError(f"a revision belongs to a hub model, but {model} is a folder")
        path, commit = Path(model) / _INDEX, None
    elif _HUB_NAME.fullmatch(model):
        path = _from_hub(model, revision)
        commit = path.parent.name
    else:
        raise FormatError(f"{model!r} is neither a folder nor a hub name such as 'owner/name'")
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FormatError(f"{model} holds no {_INDEX}: it is no diffusers pipeline") from None
    except (OSError, ValueError) as error:
        raise FormatError(f"{path} cannot be read: {_first_line(error)}") from error
    if not isinstance(index, dict):
        raise FormatError(f"{path} must hold a JSON object")
    return index, commit


def _from_hub(model: str, revision: str | None) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        # In the cache the file lies in a folder named after the commit.
        return Path(hf_hub_download(model, _INDEX, revision=revision))
    except (HfHubHTTPError, OSError, ValueError) as error:
        raise FormatError(f"{model} cannot be had from the hub: {_first_line(error)}") from error


def _pipeline_class(model: str, index: dict[str, Any]) -> Any:
    import diffusers

    name = index.get("_class_name")
    found = getattr(diffusers, name, None) if isinstance(name, str) else None
    if not isinstance(found, type) or not issubclass(found, diffusers.DiffusionPipeline):
        raise UnsupportedModelError(
            f"{model} asks for the pipeline {name!r}, which this diffusers does not have"
        )
    return found


def _check_image(model: str, pipeline_class: Any, with_image: bool) -> None:
    image = inspect.signature(pipeline_class.__call__).parameters.get("image")
    name = pipeline_class.__name__
    if with_image and image is None:
        raise UnsupportedModelError(
            f"{model} is a {name}, which takes no image; leave the image out, or use a model that "
            "makes videos from images"
        )
    if not with_image and image is not None and image.default is image.empty:
        raise UnsupportedModelError(
            f"{model} is a {name}, which starts from an image; `numina generate` takes one with "
            "--image FILE"
        )


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__

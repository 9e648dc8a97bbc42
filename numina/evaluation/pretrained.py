"""Networks that judge clips: one commit, safe weights, nothing missing, no torchvision."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, cast

import torch

from numina.evaluation.failure import EvaluationError
from numina.evaluation.provenance import folder_hash


@dataclass(frozen=True)
class Pinned:
    """A model of transformers, at one commit of the hub.

    Attributes:
        repo: Hub name.
        revision: Commit.
        model: Name of its class.
        pictures: Name of the class that prepares its pictures. Those of numpy and PIL are meant:
            the others need torchvision, and round otherwise.
    """

    repo: str
    revision: str
    model: str
    pictures: str


@dataclass(frozen=True)
class Place:
    """Where a network is loaded from and where it runs.

    Attributes:
        folder: Folder of the model; None for the pinned one of the hub.
        device: ``"auto"`` (CUDA where there is one), or a device of torch.
        dtype: Name of a floating type of torch.
    """

    folder: Path | None = None
    device: str = "auto"
    dtype: str = "float32"

    def __post_init__(self) -> None:
        if self.dtype not in ("float32", "bfloat16", "float16"):
            raise EvaluationError(f"dtype must be float32, bfloat16 or float16, got {self.dtype!r}")

    @property
    def torch_device(self) -> torch.device:
        """The device itself.

        Raises:
            EvaluationError: If torch knows no such device, or finds none.
        """
        name = self.device
        if name == "auto":
            name = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            device = torch.device(name)
        except RuntimeError:
            raise EvaluationError(
                f"device must be 'auto', 'cpu' or 'cuda', got {self.device!r}"
            ) from None
        if device.type == "cuda" and not torch.cuda.is_available():
            raise EvaluationError(f"device {self.device!r} was asked for, but torch finds no CUDA")
        return device


@dataclass(frozen=True, eq=False)
class Network:
    """A network ready to judge.

    Attributes:
        model: In evaluation mode, on its device.
        tokenizer: Its tokenizer, which knows character offsets.
        pictures: What prepares its pictures.
    """

    model: Any
    tokenizer: Any
    pictures: Any

    def pixels(self, frames: Any) -> dict[str, torch.Tensor]:
        """Network inputs of pictures ``[F, Y, X, 3]`` in 0..255, on the network's device."""
        made = self.pictures(list(frames), return_tensors="pt", input_data_format="channels_last")
        return {
            name: value.to(
                self.model.device, self.model.dtype if value.is_floating_point() else None
            )
            for name, value in made.items()
        }


class Judge:
    """A frozen dataclass of settings whose network is cached beside its fields.

    A process gets the settings and loads a network of its own; ``batch`` is one of them.
    """

    batch: int

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise ValueError(f"batch must be 1 or more, got {self.batch}")

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(cast(Any, self))}


def describe_network(pinned: Pinned, place: Place, argument: str) -> dict[str, Any]:
    """What a network is, whatever the folder it lies in.

    Raises:
        EvaluationError: If there is no such folder, or it is empty.
    """
    if place.folder is None:
        source: dict[str, Any] = {"repo": pinned.repo, "revision": pinned.revision}
    else:
        _require_folder(place.folder, argument)
        source = {"sha256": folder_hash(place.folder)}
    return {**source, "device": place.torch_device.type, "dtype": place.dtype}


def load_network(pinned: Pinned, place: Place, argument: str) -> Network:
    """Load a network.

    Args:
        pinned: What is loaded; a folder must hold a model of the same class.
        place: From where, and to where.
        argument: Name of the argument that holds the folder, for messages.

    Raises:
        EvaluationError: If a file is missing or damaged, a weight is missing, or the hub cannot be
            asked.
    """
    import transformers

    device = place.torch_device
    if place.folder is not None:
        _require_folder(place.folder, argument)
    origin = str(place.folder or pinned.repo)
    source: dict[str, Any] = {} if place.folder else {"revision": pinned.revision}
    try:
        model_class = getattr(transformers, pinned.model)
        pictures_class = getattr(transformers, pinned.pictures)
    except AttributeError as error:
        raise EvaluationError(f"this transformers is too old or too new: {error}") from error
    wanted = model_class.config_class.model_type
    try:
        found = transformers.AutoConfig.from_pretrained(origin, **source).model_type
        if found != wanted:
            raise ValueError(f"it is of the type {found!r}, not {wanted!r}")
        model, told = model_class.from_pretrained(
            origin,
            **source,
            dtype=getattr(torch, place.dtype),
            use_safetensors=True,
            output_loading_info=True,
        )
        tokenizer = transformers.AutoTokenizer.from_pretrained(origin, **source)
        pictures = pictures_class.from_pretrained(origin, **source)
        _require_whole(model, told, tokenizer)
    except Exception as error:
        # Damaged files come as errors of json, of safetensors, of torch and of the hub.
        raise EvaluationError(
            f"{argument} {origin} cannot be loaded as {pinned.model}: {_first_line(error)}; give a "
            f"folder that holds all files of {pinned.repo} at {pinned.revision[:12]}, or none to "
            "have it from the hub"
        ) from error
    return Network(model.to(device).eval(), tokenizer, pictures)


def _require_folder(folder: Path, argument: str) -> None:
    if not folder.is_dir() or not any(folder.iterdir()):
        raise EvaluationError(
            f"{argument} must be the folder of a model saved by transformers, but {folder} "
            + ("is empty" if folder.is_dir() else "is no folder")
        )


def _require_whole(model: Any, told: dict[str, Any], tokenizer: Any) -> None:
    """Refuse random weights in the place of missing ones, and a tokenizer without a vocabulary."""
    names = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    missing = sorted(names & set(told["missing_keys"]))
    if missing:
        raise ValueError(f"{len(missing)} weights are missing, e.g. {missing[0]}")
    if told["mismatched_keys"]:
        raise ValueError(f"weights are of another shape: {sorted(told['mismatched_keys'])[:1]}")
    # Where its files are missing, transformers makes up a tokenizer that knows no word.
    if not tokenizer.is_fast or len(tokenizer) <= len(set(tokenizer.all_special_ids)):
        raise ValueError("its tokenizer has no vocabulary, or knows no character offsets")


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__

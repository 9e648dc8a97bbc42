"""Options that several commands share, and how their texts become values."""

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from numina.places import Placed

Out = Annotated[
    Path, typer.Option("--out", help="Folder for the files.", file_okay=False, show_default=False)
]
Seed = Annotated[int, typer.Option("--seed", min=0, max=2**63 - 1, help="Seed of the noise.")]
Force = Annotated[bool, typer.Option("--force", help="Replace files that are there already.")]


class Mode(StrEnum):
    """How a wrong count is put right."""

    ONE_PASS = "one-pass"
    RESTART = "restart"


class Preset(StrEnum):
    """Whose settings are used."""

    ROBUST = "robust"
    PAPER = "paper"


class Policy(StrEnum):
    """What an article counts as."""

    EXPLICIT = "explicit"
    SUBJECTS = "subjects"
    ALL = "all"


class OnOom(StrEnum):
    """What happens where guidance runs out of memory."""

    RAISE = "raise"
    UNGUIDED = "unguided"


class Device(StrEnum):
    """Where the model runs."""

    AUTO = "auto"
    CUDA = "cuda"
    CPU = "cpu"


class DType(StrEnum):
    """Precision of the transformer and the text encoder."""

    AUTO = "auto"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"
    FLOAT32 = "float32"


_EXAMPLE = """a JSON object such as '{"cats": 3, "stars": {"left": 2, "right": 3}}'"""

ModeOption = Annotated[
    Mode | None,
    typer.Option("--mode", help="Mend the run at hand, or run again. Default: the preset's own."),
]
PresetOption = Annotated[Preset, typer.Option("--preset", help="Settings of the method.")]
Rounds = Annotated[int, typer.Option("--rounds", min=1, help="Guided runs of mode restart.")]

Steps = Annotated[int | None, typer.Option("--steps", min=1, help="Denoising steps.")]
Frames = Annotated[int | None, typer.Option("--frames", min=1, help="Number of frames.")]
Height = Annotated[int | None, typer.Option("--height", min=16, help="Pixels.")]
Width = Annotated[int | None, typer.Option("--width", min=16, help="Pixels.")]
GuidanceScale = Annotated[
    float | None, typer.Option("--guidance-scale", min=0, help="Classifier-free guidance.")
]
NegativePrompt = Annotated[str | None, typer.Option("--negative-prompt", help="What not to draw.")]
DeviceOption = Annotated[Device, typer.Option("--device", help="Where to run.")]
DTypeOption = Annotated[DType, typer.Option("--dtype", help="Precision.")]
Offload = Annotated[
    bool, typer.Option("--offload", help="Keep on the device only the part that works.")
]
Revision = Annotated[
    str | None, typer.Option("--revision", help="Commit, tag or branch of a hub model.")
]


Model = Annotated[
    str,
    typer.Option("--model", help="Folder or hub name of a diffusers pipeline.", show_default=False),
]
Counts = Annotated[
    str,
    typer.Option(
        "--counts",
        help='"auto", "required", or JSON: \'{"cats": 3, "stars": {"left": 2, "right": 3}}\'.',
    ),
]
PolicyOption = Annotated[Policy, typer.Option("--policy", help="Which articles count as one.")]
Fps = Annotated[
    int | None,
    typer.Option(
        "--fps", min=1, max=240, help="Frames a second.", show_default="as the model is meant to"
    ),
]
ImageFile = Annotated[
    Path | None,
    typer.Option(
        "--image",
        help="First frame, for image-to-video models; stretched to the size of the video.",
        show_default=False,
    ),
]

# Where a size is left to the model: the largest one that is common, so that space suffices.
_LARGEST = (121, 720, 1280)


def largest_size(frames: int | None, height: int | None, width: int | None) -> tuple[int, int, int]:
    """Frames, height and width that a video may have, where some are left to the model."""
    most_frames, most_height, most_width = _LARGEST
    return frames or most_frames, height or most_height, width or most_width


def given_call(
    steps: int | None,
    frames: int | None,
    height: int | None,
    width: int | None,
    guidance_scale: float | None,
    negative_prompt: str | None,
) -> dict[str, Any]:
    """Arguments of the pipeline call, of the options that were given."""
    call = {
        "num_inference_steps": steps,
        "num_frames": frames,
        "height": height,
        "width": width,
        "guidance_scale": guidance_scale,
        "negative_prompt": negative_prompt,
    }
    return {name: value for name, value in call.items() if value is not None}


def read_image(path: Path) -> Any:
    """The value of ``--image``: a PIL image in RGB, the way up that its camera says.

    Raises:
        FormatError: If there is no such file, or it holds no image that can be read.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    from numina.errors import FormatError

    try:
        with Image.open(path) as image:
            return ImageOps.exif_transpose(image).convert("RGB")
    except UnidentifiedImageError:
        raise FormatError(f"--image {path} is no image of a kind that can be read") from None
    except OSError as error:
        # Also what is cut short.
        told = (error.strerror or str(error)).lower()
        raise FormatError(f"--image {path} cannot be read: {told}") from error
    except (ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise FormatError(f"--image {path} cannot be read: {error}") from error


def read_counts(text: str) -> dict[str, "int | Placed"] | Literal["auto", "required"]:
    """The value of ``--counts``: "auto", "required", or a JSON object of counts.

    A noun has a number, or an object of numbers by place: ``{"left": 2, "right": 3}``.

    Raises:
        TargetError: If the JSON is damaged, names a noun or a place twice or a place that there is
            not, or a count is no whole number of 0 or more.
    """
    from numina.errors import TargetError

    word = text.strip()
    if word == "auto" or word == "required":
        return word  # type: ignore[return-value]
    try:
        counts = json.loads(
            text,
            object_pairs_hook=_without_duplicates,
            parse_constant=_refused,
            parse_float=_refused,
        )
    except RecursionError:
        raise TargetError(f"--counts must be {_EXAMPLE}, got a deeply nested one") from None
    except json.JSONDecodeError as error:
        raise TargetError(
            f'--counts must be "auto", "required" or {_EXAMPLE}, got {text!r} '
            f"({error.msg} at {error.pos})"
        ) from None
    except ValueError as error:
        raise TargetError(f"--counts: {error}") from None
    if not isinstance(counts, dict) or not counts:
        raise TargetError(f"--counts must be {_EXAMPLE}, got {text!r}")
    return {noun: _count(noun, count) for noun, count in counts.items()}


def _count(noun: str, count: Any) -> "int | Placed":
    from numina.errors import TargetError
    from numina.places import PLACES, Placed

    if isinstance(count, dict):
        unknown = [place for place in count if place not in PLACES]
        if unknown:
            raise TargetError(
                f"--counts: {noun!r} has the place {unknown[0]!r}; choose from {', '.join(PLACES)}"
            )
        try:
            return Placed(**count)
        except TargetError as error:
            raise TargetError(f"--counts: {noun!r}: {error}") from None
    if isinstance(count, bool) or not isinstance(count, int) or count < 0:
        raise TargetError(
            f"--counts: {noun!r} must have a whole number of 0 or more, or such numbers by place, "
            f"got {count!r}"
        )
    return count


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    counts: dict[str, Any] = {}
    for noun, count in pairs:
        if noun in counts:
            raise ValueError(f"{noun!r} is named twice")
        counts[noun] = count
    return counts


def _refused(number: str) -> int:
    raise ValueError(f"a count must be a whole number of 0 or more, got {number}")

"""``numina generate``: a prompt, counted, with any diffusers pipeline that numina knows."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from numina.commands.options import (
    Force,
    ModeOption,
    OnOom,
    Policy,
    PresetOption,
    Rounds,
    Seed,
    read_counts,
)
from numina.commands.options import Preset as PresetName
from numina.commands.screen import note

_DEFAULT_OUT = Path("numina-out")
# Where a size is left to the model: the largest one that is common, so that space suffices.
_LARGEST = (121, 720, 1280)


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


def generate(
    prompt: Annotated[str, typer.Argument(help="What to draw.", show_default=False)],
    model: Annotated[
        str,
        typer.Option(
            "--model", help="Folder or hub name of a diffusers pipeline.", show_default=False
        ),
    ],
    counts: Annotated[
        str,
        typer.Option("--counts", help='"auto", "required", or JSON such as \'{"red balls": 3}\'.'),
    ] = "auto",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            file_okay=False,
            help="Folder for the files.",
            show_default="numina-out/ and a name made from the prompt",
        ),
    ] = None,
    seed: Seed = 0,
    compare: Annotated[
        bool, typer.Option("--compare", help="Make the plain video as well.")
    ] = False,
    mode: ModeOption = None,
    preset: PresetOption = PresetName.ROBUST,
    rounds: Rounds = 1,
    policy: Annotated[
        Policy, typer.Option("--policy", help="Which articles count as one.")
    ] = Policy.SUBJECTS,
    on_oom: Annotated[
        OnOom, typer.Option("--on-oom", help="Without memory for guidance: fail, or run plainly.")
    ] = OnOom.RAISE,
    steps: Annotated[int | None, typer.Option("--steps", min=1, help="Denoising steps.")] = None,
    frames: Annotated[int | None, typer.Option("--frames", min=1, help="Number of frames.")] = None,
    height: Annotated[int | None, typer.Option("--height", min=16, help="Pixels.")] = None,
    width: Annotated[int | None, typer.Option("--width", min=16, help="Pixels.")] = None,
    guidance_scale: Annotated[
        float | None, typer.Option("--guidance-scale", min=0, help="Classifier-free guidance.")
    ] = None,
    negative_prompt: Annotated[
        str | None, typer.Option("--negative-prompt", help="What not to draw.")
    ] = None,
    fps: Annotated[int, typer.Option("--fps", min=1, max=240, help="Frames a second.")] = 16,
    device: Annotated[Device, typer.Option("--device", help="Where to run.")] = Device.AUTO,
    dtype: Annotated[DType, typer.Option("--dtype", help="Precision.")] = DType.AUTO,
    offload: Annotated[
        bool, typer.Option("--offload", help="Keep on the device only the part that works.")
    ] = False,
    revision: Annotated[
        str | None, typer.Option("--revision", help="Commit, tag or branch of a hub model.")
    ] = None,
    force: Force = False,
) -> None:
    """Draw a prompt with the counts it asks for.

    The video and a report are written, with --compare the plain video as well.
    """
    wanted = read_counts(counts)

    from numina.commands.running import RunRequest, run_story
    from numina.commands.telling import show_story
    from numina.errors import PromptError
    from numina.integrations.loading import load_pipeline
    from numina.output import claim_folder, slug
    from numina.report import file_names, space_needed, write_report

    if not prompt.strip():
        raise PromptError("the prompt is empty")
    call: dict[str, Any] = {
        "num_inference_steps": steps,
        "num_frames": frames,
        "height": height,
        "width": width,
        "guidance_scale": guidance_scale,
        "negative_prompt": negative_prompt,
    }
    call = {name: value for name, value in call.items() if value is not None}
    size = [given or most for given, most in zip((frames, height, width), _LARGEST, strict=True)]
    folder = claim_folder(
        out or _DEFAULT_OUT / f"{slug(prompt)}-{seed}",
        file_names(with_before=compare),
        needed_bytes=space_needed(*size, with_before=compare),
        force=force,
    )
    note(f"“{prompt}”, seed {seed}")
    note(f"loading {model}")
    loaded = load_pipeline(
        model, revision=revision, device=device.value, dtype=dtype.value, offload=offload
    )
    counting = {
        "counts": wanted,
        "preset": preset.value,
        "mode": mode.value if mode else None,
        "rounds": rounds,
        "policy": policy.value,
        "on_oom": on_oom.value,
    }
    request = RunRequest(prompt, seed, counting, call, compare, loaded.name, fps, loaded.revision)
    story = run_story(loaded.pipe, request)
    show_story(story, write_report(folder, story))

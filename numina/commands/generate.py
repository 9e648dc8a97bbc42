"""``numina generate``: a prompt, counted, with any diffusers pipeline that numina knows."""

from pathlib import Path
from typing import Annotated

import typer

from numina.commands.options import (
    Counts,
    Device,
    DeviceOption,
    DType,
    DTypeOption,
    Force,
    Fps,
    Frames,
    GuidanceScale,
    Height,
    ImageFile,
    Model,
    ModeOption,
    NegativePrompt,
    Offload,
    OnOom,
    Policy,
    PolicyOption,
    PresetOption,
    Revision,
    Rounds,
    Seed,
    Steps,
    Width,
    given_call,
    largest_size,
    read_counts,
    read_image,
)
from numina.commands.options import Preset as PresetName
from numina.commands.screen import note

_DEFAULT_OUT = Path("numina-out")


def generate(
    prompt: Annotated[str, typer.Argument(help="What to draw.", show_default=False)],
    model: Model,
    image: ImageFile = None,
    counts: Counts = "auto",
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
    policy: PolicyOption = Policy.SUBJECTS,
    on_oom: Annotated[
        OnOom, typer.Option("--on-oom", help="Without memory for guidance: fail, or run plainly.")
    ] = OnOom.RAISE,
    steps: Steps = None,
    frames: Frames = None,
    height: Height = None,
    width: Width = None,
    guidance_scale: GuidanceScale = None,
    negative_prompt: NegativePrompt = None,
    fps: Fps = None,
    device: DeviceOption = Device.AUTO,
    dtype: DTypeOption = DType.AUTO,
    offload: Offload = False,
    revision: Revision = None,
    force: Force = False,
    only_estimate: Annotated[
        bool,
        typer.Option(
            "--estimate", help="Draw nothing: tell the memory and work that counting adds."
        ),
    ] = False,
) -> None:
    """Draw a prompt with the counts it asks for.

    The video and a report are written, with --compare the plain video as well.
    """
    wanted = read_counts(counts)

    from numina.commands.running import RunRequest, run_story
    from numina.commands.telling import show_story
    from numina.errors import PromptError
    from numina.integrations.frame_rates import frame_rate
    from numina.integrations.loading import load_pipeline
    from numina.output import claim_folder, slug
    from numina.report import file_names, space_needed, write_report

    if not prompt.strip():
        raise PromptError("the prompt is empty")
    call = given_call(steps, frames, height, width, guidance_scale, negative_prompt)
    if image is not None:
        call["image"] = read_image(image)
    if only_estimate:
        from numina.commands.estimating import tell_estimate

        tell_estimate(
            model,
            prompt,
            revision=revision,
            device=device.value,
            dtype=dtype.value,
            counts=wanted,
            preset=preset.value,
            mode=mode.value if mode else None,
            rounds=rounds,
            policy=policy.value,
            **call,
        )
        return
    size = largest_size(frames, height, width)
    folder = claim_folder(
        out or _DEFAULT_OUT / f"{slug(prompt)}-{seed}",
        file_names(with_before=compare),
        needed_bytes=space_needed(*size, with_before=compare),
        force=force,
    )
    note(f"“{prompt}”, seed {seed}")
    note(f"loading {model}")
    loaded = load_pipeline(
        model,
        revision=revision,
        device=device.value,
        dtype=dtype.value,
        offload=offload,
        with_image=image is not None,
    )
    counting = {
        "counts": wanted,
        "preset": preset.value,
        "mode": mode.value if mode else None,
        "rounds": rounds,
        "policy": policy.value,
        "on_oom": on_oom.value,
    }
    fps = fps or frame_rate(loaded.pipe)
    request = RunRequest(prompt, seed, counting, call, compare, loaded.name, fps, loaded.revision)
    story = run_story(loaded.pipe, request)
    show_story(story, write_report(folder, story))

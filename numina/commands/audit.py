"""``numina audit``: a plain run, counted and flagged, with nothing guided."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
    Model,
    NegativePrompt,
    Offload,
    Policy,
    PolicyOption,
    Revision,
    Seed,
    Steps,
    Width,
    given_call,
    largest_size,
    read_counts,
)
from numina.commands.screen import note, printable

if TYPE_CHECKING:
    from numina.audit_record import AuditRecord

EXIT_FLAGGED = 3
_DEFAULT_OUT = Path("numina-audit")


def audit(
    prompt: Annotated[str | None, typer.Argument(help="What to draw.", show_default=False)] = None,
    model: Model = "",
    counts: Counts = "auto",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            file_okay=False,
            help="Folder for the files.",
            show_default="numina-audit/ and a name made from the prompt",
        ),
    ] = None,
    verify: Annotated[
        Path | None,
        typer.Option(
            "--verify",
            help="Run nothing; tell whether this audit.json is unchanged.",
            show_default=False,
        ),
    ] = None,
    seed: Seed = 0,
    policy: PolicyOption = Policy.SUBJECTS,
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
) -> None:
    """Draw a prompt plainly, and flag it where the counts are not those it asks for.

    Nothing is guided. video.mp4, labels.json (COCO) and audit.json are written.

    Exit status: 0 where all counts agree (or --verify finds the record unchanged), 3 where any is
    flagged (or the record was changed), 2 where nothing came of it.
    """
    if verify is not None:
        if prompt is not None or model:
            raise typer.BadParameter("--verify runs nothing; leave out the prompt and --model")
        _verify(verify)
        return
    if prompt is None:
        raise typer.BadParameter("say what to draw, or --verify FILE", param_hint="PROMPT")
    if not model:
        raise typer.BadParameter("name a folder or hub name", param_hint="--model")
    wanted = read_counts(counts)

    from numina.auditing import audit as audit_run
    from numina.commands.running import show_progress
    from numina.errors import PromptError
    from numina.integrations.frame_rates import frame_rate
    from numina.integrations.loading import load_pipeline
    from numina.output import claim_folder, slug
    from numina.report.audit_files import audit_file_names, audit_space_needed, write_audit

    if not prompt.strip():
        raise PromptError("the prompt is empty")
    call = given_call(steps, frames, height, width, guidance_scale, negative_prompt)
    size = largest_size(frames, height, width)
    folder = claim_folder(
        out or _DEFAULT_OUT / f"{slug(prompt)}-{seed}",
        audit_file_names(),
        needed_bytes=audit_space_needed(*size),
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
        with_image=False,
    )
    show_progress(loaded.pipe)
    audited = audit_run(
        loaded.pipe,
        prompt,
        counts=wanted,
        policy=policy.value,
        seed=seed,
        model=loaded.name,
        revision=loaded.revision,
        **call,
        output_type="np",
    )
    paths = write_audit(folder, audited, fps or frame_rate(loaded.pipe))
    _show(audited.record)
    for path in paths.values():
        typer.echo(f"  {path}")
    if audited.record.flagged:
        raise typer.Exit(EXIT_FLAGGED)


def verdict_line(record: "AuditRecord") -> str:
    """The record in one line, e.g. "flagged: saw 2, asked for 3 cats"."""
    if not record.nouns:
        return "nothing to audit: the prompt names no count"
    told = ", ".join(
        f"no layout for {each.asked} {each.noun}"
        if each.seen is None
        else f"saw {each.seen}, asked for {each.asked} {each.noun}"
        for each in record.nouns
        if not each.agrees
    )
    if told:
        return f"flagged: {told}"
    return "counts agree: " + ", ".join(f"{each.seen} {each.noun}" for each in record.nouns)


def _show(record: "AuditRecord") -> None:
    colour = "red" if record.flagged else "green" if record.nouns else None
    typer.secho(f"  {printable(verdict_line(record))}", fg=colour, bold=True)


def _verify(path: Path) -> None:
    from numina.audit_record import verify_audit

    if verify_audit(path):
        typer.secho(f"  unchanged: {printable(str(path))}", fg="green")
        return
    typer.secho(f"  changed since it was written: {printable(str(path))}", fg="red", bold=True)
    raise typer.Exit(EXIT_FLAGGED)

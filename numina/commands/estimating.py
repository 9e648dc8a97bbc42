"""What ``numina generate --estimate`` tells: memory and work, of configurations alone."""

from typing import Any

import typer

from numina.commands.screen import note


def tell_estimate(
    model: str,
    prompt: str,
    *,
    revision: str | None,
    device: str,
    dtype: str,
    **arguments: Any,
) -> None:
    """Print what looking and guiding add to a run. No weights are loaded, and nothing runs.

    Args:
        model: Folder or hub name.
        prompt: What would be drawn.
        revision: Commit, tag or branch of a hub model.
        device: Where it would run.
        dtype: In which precision.
        **arguments: As for ``numina.estimate``.
    """
    from numina.attention.accounting import Machine
    from numina.estimating import estimate
    from numina.integrations.outline import outline_pipeline
    from numina_kernels.impl import resolve

    pipe, place = outline_pipeline(model, revision=revision, device=device, dtype=dtype)
    note(f"“{prompt}”, {model}")
    told = estimate(pipe, prompt, machine=Machine(resolve(None, place), place), **arguments)
    typer.echo()
    for line in str(told).splitlines():
        typer.echo(f"  {line}".rstrip())

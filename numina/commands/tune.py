"""``numina tune``: launch configurations of the Triton kernels for the card at hand."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from numina.commands.options import Force
from numina.commands.screen import note

if TYPE_CHECKING:
    from collections.abc import Iterator

# Those of the video models: CogVideoX has 64, Wan 128.
_HEAD_DIMS = (64, 128)


def tune(
    out: Annotated[
        Path, typer.Option("--out", dir_okay=False, help="File for the configurations.")
    ] = Path("numina-launch-configs.json"),
    head_dims: Annotated[
        list[int] | None,
        typer.Option(
            "--head-dim",
            min=16,
            max=256,
            help="Head dimension to tune for; may be repeated.",
            show_default="64 and 128",
        ),
    ] = None,
    minutes: Annotated[
        float, typer.Option("--minutes", min=0.1, help="Try no further candidate after that.")
    ] = 10.0,
    list_only: Annotated[
        bool, typer.Option("--list", help="Only show what would be tried; needs no GPU.")
    ] = False,
    force: Force = False,
) -> None:
    """Time launch configurations of the Triton kernels on this machine's GPU.

    The file takes effect where the environment variable NUMINA_LAUNCH_CONFIGS names it. Kernels
    are never tuned at any other time.
    """
    chosen = tuple(head_dims or _HEAD_DIMS)
    if list_only:
        for line in _candidates(chosen):
            typer.echo(f"  {line}")
        return
    import torch

    from numina.output import claim_folder
    from numina_kernels.errors import ImplementationError

    if not torch.cuda.is_available():
        raise ImplementationError(
            "numina tune times kernels on a CUDA GPU, and this machine has none that torch can "
            "use; run it where the card is, or see the candidates with numina tune --list"
        )
    _require_triton()
    folder = claim_folder(out.parent, [out.name], force=force)

    from numina_kernels.triton import config_file, tuning

    found = tuning.tune("cuda", chosen, seconds=60 * minutes, tell=note)
    path = folder.write(out.name, found.text().encode())
    typer.echo(f"  {path}\n  To use it: export {config_file.ENVIRONMENT_VARIABLE}={path.resolve()}")


def _candidates(head_dims: tuple[int, ...]) -> "Iterator[str]":
    """Every configuration that would be tried, for this GPU or, without one, each architecture."""
    _require_triton()
    import torch

    from numina_kernels.triton.configs import ARCHITECTURES, Form, Place, shipped
    from numina_kernels.triton.launch import block
    from numina_kernels.triton.tuning import candidates_at, describe

    architectures: tuple[int, ...] = ARCHITECTURES
    if torch.cuda.is_available():
        major, minor = torch.cuda.get_device_capability()
        architectures = (10 * major + minor,)
    for architecture in architectures:
        for head_dim in head_dims:
            for form in Form:
                yield f"sm_{architecture}, head dimension {head_dim}, {form}"
                place = Place(architecture, form, 16, block(head_dim))
                for config in candidates_at(place):
                    yield f"    {describe(config)}{' (shipped)' * (config in shipped(place))}"


def _require_triton() -> None:
    """Refuse where the kernels cannot even be imported."""
    from numina_kernels.impl import Impl, resolve

    resolve(Impl.TRITON, "cuda")

"""``numina prompts``: natural prompts with their counts, for ``numina evaluate``."""

from typing import Annotated

import typer

from numina.commands.options import Force, Out


def prompts(
    out: Out,
    number: Annotated[int, typer.Option("--number", min=1, help="How many prompts.")] = 200,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Decides the prompts.")] = 0,
    force: Force = False,
) -> None:
    """Write prompts of everyday scenes, and how many of what each asks for."""
    from numina.evaluation.natural_prompts import natural_prompts
    from numina.evaluation.prompt_files import dump_counted_prompts
    from numina.output import claim_folder, write_all

    files = dump_counted_prompts(natural_prompts(number, seed))
    for path in write_all(claim_folder(out, files, force=force), files).values():
        typer.echo(f"  {path}")

"""What the terminal shows: calm lines, nothing that a prompt could forge."""

import unicodedata

import typer


def printable(text: str) -> str:
    """``text`` in one line, without control and direction characters.

    A prompt could otherwise move the cursor, recolour the screen or reverse what follows it.
    """
    shown = (
        character if unicodedata.category(character) not in {"Cc", "Cf", "Cs"} else " "
        for character in text
    )
    return " ".join("".join(shown).split())


def complain(message: str) -> None:
    """One line on why nothing came of it."""
    typer.echo(f"{typer.style('numina:', fg='red', bold=True)} {printable(message)}", err=True)


def note(message: str) -> None:
    """One line on what is going on; results go to stdout, this does not."""
    typer.secho(f"  {printable(message)}", dim=True, err=True)

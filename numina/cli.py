"""The table of commands, and how errors reach the terminal."""

import warnings
from typing import Annotated, Any, TextIO

import typer
from typer.core import TyperGroup

from numina import __version__
from numina.commands.audit import audit
from numina.commands.demo import demo
from numina.commands.doctor import doctor
from numina.commands.evaluate import evaluate
from numina.commands.generate import generate
from numina.commands.prompts import prompts
from numina.commands.screen import complain, note
from numina.commands.tune import tune
from numina.versions import incompatibilities

EXIT_REFUSED = 2
EXIT_INTERRUPTED = 130


class OneLineErrors(TyperGroup):
    """A group of commands whose own errors are one clear line and exit code 2, no traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; errors that are not ours keep their traceback."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            complain("interrupted")
            raise typer.Exit(EXIT_INTERRUPTED) from None
        except Exception as error:
            # Imported here, because the errors come with torch, and most of the command line
            # needs neither.
            from numina.errors import NuminaError

            if not isinstance(error, NuminaError):
                raise
            complain(str(error))
            raise typer.Exit(EXIT_REFUSED) from None


app = typer.Typer(
    name="numina",
    cls=OneLineErrors,
    help="Text-to-video diffusion that counts.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("demo")(demo)
app.command("generate")(generate)
app.command("audit")(audit)
app.command("evaluate")(evaluate)
app.command("prompts")(prompts)
app.command("doctor")(doctor)
app.command("tune")(tune)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"numina {__version__}")
        raise typer.Exit


@app.callback()
def before_any_command(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """Text-to-video diffusion that counts."""
    # The doctor tells of all that does not fit; every other command stops at the first.
    problems = incompatibilities() if context.invoked_subcommand != "doctor" else ()
    if problems:
        complain(problems[0])
        raise typer.Exit(EXIT_REFUSED)


def main() -> None:
    """The command ``numina``."""
    warnings.showwarning = _as_note
    app(prog_name="numina")


def _as_note(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """A warning as one calm line."""
    note(str(message))

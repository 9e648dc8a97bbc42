"""``numina doctor``: can numina work here?"""

import typer

from numina.commands.screen import complain, printable
from numina.doctor import examine

_SIGNS = {"ok": ("✓", "green"), "note": ("·", "yellow"), "failed": ("✗", "red")}


def doctor() -> None:
    """Check whether numina can work here.

    Versions, devices and kernels are looked at; the exit code is 1 where something is wrong.
    """
    failures = []
    for finding in examine():
        sign, colour = _SIGNS[finding.status]
        typer.echo(
            f"  {typer.style(sign, fg=colour)} {finding.name:16} {printable(finding.detail)}"
        )
        if finding.status == "failed":
            failures.append(finding)
    if failures:
        complain(failures[0].detail)
        raise typer.Exit(1)
    typer.echo("\n  numina can work here.")

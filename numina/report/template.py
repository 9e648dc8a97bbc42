"""Templates of pages: escaped throughout, complaining of every name that is not there."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

_TEMPLATES = Path(__file__).parents[1] / "templates"


def rendered(template: str, **values: Any) -> str:
    """A template of the package as HTML.

    Args:
        template: Its file name.
        values: What it may name. Text is escaped wherever it is printed.
    """
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**values)

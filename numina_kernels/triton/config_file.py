"""Launch configurations that were measured on a card, as a JSON file that ``numina tune`` writes.

The room reads the file named by the environment variable ``NUMINA_LAUNCH_CONFIGS`` once, when the
first Triton operation of the process runs; ``use(path)`` loads one at any time. A configuration
holds for the compute capability, the form, the dtype and the width it was measured with, and
everywhere else the shipped ones remain. Nothing is tuned while a model runs.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..errors import LaunchConfigError
from .configs import MOST_HEAD_DIM, WIDTHS, Form, LaunchConfig, Place, prefer, shipped

ENVIRONMENT_VARIABLE = "NUMINA_LAUNCH_CONFIGS"
FORMAT = "numina launch configurations"
VERSION = 1

BLOCKS = (16, 32, 64, 128, 256)
WARPS = (1, 2, 4, 8, 16)
STAGES = tuple(range(1, 9))
_ADVICE = "write it with numina tune"


@dataclass(frozen=True)
class ConfigFile:
    """What was found on one card.

    Attributes:
        configs: The configuration to use at each place.
        provenance: Device, versions and samples behind them; kept for readers, never used.
    """

    configs: Mapping[Place, LaunchConfig]
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def text(self) -> str:
        """The file's content."""
        entries = [
            place._asdict() | asdict(config) for place, config in sorted(self.configs.items())
        ]
        content = {"format": FORMAT, "version": VERSION, "configs": entries}
        return json.dumps(content | {"provenance": dict(self.provenance)}, indent=1) + "\n"


def read(path: Path | str) -> ConfigFile:
    """Read a file of launch configurations.

    Raises:
        LaunchConfigError: If it cannot be read, is no such file, or holds a number with which no
            kernel can be launched. Names the entry, what came and what is allowed.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise LaunchConfigError(f"{path}: cannot be read ({error.strerror}); {_ADVICE}") from error
    except (ValueError, RecursionError) as error:
        raise LaunchConfigError(f"{path}: is no JSON ({error}); {_ADVICE}") from error
    try:
        return _parsed(content)
    except LaunchConfigError as error:
        raise LaunchConfigError(f"{path}: {error}; {_ADVICE}") from None


def use(path: Path | str) -> None:
    """Prefer the configurations of a file from now on, instead of those of any other.

    Raises:
        LaunchConfigError: As ``read``; then all stays as it was.
    """
    prefer(read(path).configs)


def use_named_by_environment() -> None:
    """Use the file that ``NUMINA_LAUNCH_CONFIGS`` names, where it names one."""
    path = os.environ.get(ENVIRONMENT_VARIABLE)
    if path:
        use(path)


def _parsed(content: Any) -> ConfigFile:
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise LaunchConfigError(f'is no file of launch configurations: "format" is not {FORMAT!r}')
    if content.get("version") != VERSION:
        raise LaunchConfigError(f"version must be {VERSION}, got {content.get('version')!r}")
    entries = content.get("configs")
    if not isinstance(entries, list):
        raise LaunchConfigError(f"configs must be a list, got {type(entries).__name__}")
    configs: dict[Place, LaunchConfig] = {}
    for index, entry in enumerate(entries):
        place, config = _entry(entry, f"configs[{index}]")
        if place in configs:
            raise LaunchConfigError(f"configs[{index}] says again what holds for {tuple(place)}")
        configs[place] = config
    provenance = content.get("provenance", {})
    if not isinstance(provenance, dict):
        raise LaunchConfigError(f"provenance must be an object, got {type(provenance).__name__}")
    return ConfigFile(configs, provenance)


def _entry(entry: Any, name: str) -> tuple[Place, LaunchConfig]:
    if not isinstance(entry, dict):
        raise LaunchConfigError(f"{name} must be an object, got {type(entry).__name__}")
    known = {*Place._fields, *LaunchConfig.__dataclass_fields__}
    if entry.keys() != known:
        odd = sorted(entry.keys() ^ known)
        raise LaunchConfigError(f"{name} must have {', '.join(sorted(known))}; look at {odd}")

    def one_of(field: str, allowed: tuple[Any, ...]) -> Any:
        value = entry[field]
        # 64.0 and True are equal to numbers that are allowed, and are none.
        if type(value) is not type(allowed[0]) or value not in allowed:
            told = ", ".join(map(str, allowed))
            raise LaunchConfigError(f"{name}.{field} must be one of {told}, got {value!r}")
        return value

    architecture = entry["architecture"]
    if type(architecture) is not int or architecture < 70:
        raise LaunchConfigError(
            f"{name}.architecture must be a compute capability such as 90, got {architecture!r}"
        )
    form = Form(one_of("form", tuple(form.value for form in Form)))
    bits = one_of("bits", tuple(MOST_HEAD_DIM))
    widths = tuple(width for width in WIDTHS if width <= MOST_HEAD_DIM[bits])
    place = Place(architecture, form, bits, one_of("width", widths))
    config = LaunchConfig(
        one_of("block_m", BLOCKS),
        one_of("block_n", tiles_of(place)),
        one_of("num_warps", WARPS),
        one_of("num_stages", STAGES),
    )
    return place, config


def tiles_of(place: Place) -> tuple[int, ...]:
    """The values of ``block_n`` that mean something at ``place``.

    How many keys are one tile decides which kernel runs, so that number is not to be tuned.
    """
    if place.form in (Form.ONE_TILE, Form.PROBS, Form.PEAKS):
        return (shipped(place)[0].block_n,)
    return BLOCKS

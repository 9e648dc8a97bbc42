"""Installed versions against the ones needed, read from metadata: nothing heavy is imported."""

import platform
import tomllib
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

DISTRIBUTION = "numina-attention"
# An astronomy library of this name on the package index also installs a top-level `numina`.
FOREIGN = "numina"
_TOLD = ("torch", "diffusers", "transformers", "triton", "numpy", "av")


def installed_versions() -> dict[str, str]:
    """Versions that a report records: Python, numina, and what it computes with."""
    versions = {"python": platform.python_version()}
    for name in (DISTRIBUTION, *_TOLD):
        found = _version(name)
        if found is not None:
            versions[name] = found
    return versions


def incompatibilities() -> tuple[str, ...]:
    """What does not fit, one line each, with what to do; empty where all is well."""
    problems = []
    for requirement in requirements():
        found = _version(requirement.name)
        wanted = f"{requirement.name}{requirement.specifier}"
        if found is None:
            problems.append(f"{wanted} is needed, but not installed: pip install {wanted!r}")
        elif not requirement.specifier.contains(found, prereleases=True):
            problems.append(f"{wanted} is needed, but {found} is installed: pip install {wanted!r}")
    foreign = foreign_distribution()
    if foreign is not None:
        problems.append(foreign)
    return tuple(problems)


def requirements() -> tuple[Requirement, ...]:
    """Our dependencies, without extras: of the installed package, or of the source tree."""
    try:
        lines = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        lines = _of_source_tree()
    found = [Requirement(line) for line in lines]
    return tuple(r for r in found if r.marker is None or r.marker.evaluate({"extra": ""}))


def foreign_distribution() -> str | None:
    """A line on the foreign package named numina, or None where it is not installed."""
    try:
        foreign = metadata.distribution(FOREIGN)
    except metadata.PackageNotFoundError:
        return None
    summary = (foreign.metadata["Summary"] or "an astronomy library").strip().rstrip(".")
    return (
        f"another package named numina ({foreign.version}: {summary}) is installed and may have "
        f"replaced our files: pip uninstall {FOREIGN}, then pip install --force-reinstall "
        f"--no-deps {DISTRIBUTION}"
    )


def _of_source_tree() -> list[str]:
    path = Path(__file__).parents[1] / "pyproject.toml"
    if not path.is_file():
        return []
    project = tomllib.loads(path.read_text(encoding="utf-8")).get("project", {})
    return list(project.get("dependencies", []))


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None

"""Where the figures of a page come from, in words: suite, code, versions and settings."""

import json
from typing import Any

from numina.evaluation.report.findings import Findings

# What the table of facts tells already, and what is no setting.
_TOLD = {"format", "suite", "seed", "versions", "code", "methods"}


def facts(findings: Findings) -> tuple[tuple[str, str], ...]:
    """The few that a reader asks for first."""
    manifest, seeds = findings.manifest, findings.seeds
    versions = manifest.get("versions", {})
    told = [
        ("suite", str(manifest.get("suite", "not recorded"))),
        ("prompts", str(len(seeds))),
        ("seeds", _seeds(seeds)),
        *((name, versions[name]) for name in ("torch", "diffusers") if name in versions),
        ("commit", ", ".join(map(_commit, manifest.get("code", []))) or "not recorded"),
    ]
    return tuple((name, str(value)) for name, value in told)


def settings(findings: Findings) -> tuple[tuple[str, str], ...]:
    """All that the results depend on, by name."""
    manifest = findings.manifest
    basis = {name: value for name, value in manifest.items() if name not in _TOLD}
    methods = manifest.get("methods", {})
    return (
        *((name, _text(value)) for name, value in basis.items()),
        *((name, str(version)) for name, version in manifest.get("versions", {}).items()),
        *((name, str(methods.get(name, "not recorded"))) for name in findings.methods),
    )


def _seeds(seeds: tuple[int, ...]) -> str:
    return str(seeds[0]) if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"


def _commit(code: Any) -> str:
    if not code:
        return "outside a checkout"
    return f"{str(code.get('commit'))[:8]}{' and changes' if code.get('dirty') else ''}"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

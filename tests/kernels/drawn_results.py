"""The result file of a long run over drawn cases."""

import json
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

COMMAND = "python -m pytest tests/kernels/test_drawn_cases.py -m exhaustive"
ROOT = Path(__file__).parents[2]


def write_results(file: Path, cases: int, rows: list[dict[str, Any]]) -> None:
    """Write what was checked, and what it depends on, without a word about whose machine it is.

    Args:
        file: Must not exist.
        cases: That were asked for, of each operation, dtype and implementation.
        rows: One for each of those that passed.
    """
    result = {
        "command": f"{COMMAND} --drawn-cases {cases} --drawn-cases-out FILE",
        "device": platform.machine(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "triton_is_interpreted": os.environ.get("TRITON_INTERPRET") == "1",
        "versions": {"python": platform.python_version()} | _versions(),
        "commit": _git("rev-parse", "HEAD"),
        "dirty": bool(_git("status", "--porcelain")),
        "rows": rows,
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("x", encoding="utf-8") as stream:
        stream.write(json.dumps(result, indent=1) + "\n")


def _versions() -> dict[str, str]:
    found = {}
    for name in ("torch", "triton", "numpy", "hypothesis"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _git(*arguments: str) -> str | None:
    command = ["git", "-C", str(ROOT), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None

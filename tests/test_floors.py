"""The house keeps its rules (``house.py``), and a breach of any of them is noticed."""

import subprocess
import sys
from pathlib import Path

import pytest
from house import breaches, modules_of

ROOT = Path(__file__).parents[1]


def test_the_house_keeps_its_rules():
    found = breaches(ROOT)
    assert not found, "\n".join(found)


def test_every_module_is_looked_at():
    names = [name for name, _ in modules_of(ROOT)]
    assert {"numina", "numina.layout", "numina_kernels"} <= set(names)


BREACHES = {
    "floor above": (
        "numina/layout.py",
        "from numina.prompt.counts import parse",
        "(floor 1) imports",
    ),
    "inside a function": (
        "numina/identify/heads.py",
        "def f():\n    import numina.pipeline",
        "(floor 2) imports numina.pipeline (floor 5)",
    ),
    "in an else of type checking": (
        "numina/identify/heads.py",
        "if TYPE_CHECKING:\n    pass\nelse:\n    import numina.attention.guide",
        "imports numina.attention.guide (floor 3)",
    ),
    "unless type checking": (
        "numina/identify/heads.py",
        "if not TYPE_CHECKING:\n    import numina.attention.guide",
        "imports numina.attention.guide (floor 3)",
    ),
    "module from package": ("numina/video.py", "from numina import cli", "imports numina.cli"),
    "the package itself": ("numina/report/page.py", "import numina", "imports numina (floor 6)"),
    "kernels look up": ("numina_kernels/ops.py", "import numina.errors", "(floor 0) imports"),
    "by name": (
        "numina/prompt/tokens.py",
        "from importlib import import_module\nimport_module('numina.cli')",
        "imports numina.cli (floor 6)",
    ),
    "no floor": ("numina/novelty.py", "", "numina.novelty has no floor"),
    "diffusers": ("numina/pipeline.py", "import diffusers.utils", "belongs to numina.integ"),
    "sklearn": (
        "numina/identify/tracks.py",
        "from sklearn.cluster import DBSCAN",
        "numina.identify.regions",
    ),
    "sklearn in a function": (
        "numina/identify/tracks.py",
        "async def f():\n    from sklearn import svm",
        "numina.identify.regions",
    ),
    "typer": ("numina/doctor.py", "import typer", "belongs to numina.cli"),
    "av": ("numina/report/page.py", "import av", "belongs to numina.report.video"),
    "jinja2": ("numina/pipeline.py", "import jinja2", "belongs to numina.report"),
    "triton": ("numina_kernels/eager/x.py", "import triton", "numina_kernels.triton"),
    "matplotlib at once": ("numina/report/page.py", "import matplotlib", "inside the function"),
    "kernels need numpy": ("numina_kernels/ops.py", "import numpy", "torch alone"),
    "relative in numina": (
        "numina/attention/capture.py",
        "from .layout import Layout",
        "absolutely",
    ),
    "absolute in kernels": (
        "numina_kernels/ops.py",
        "from numina_kernels.errors import E",
        "imports itself relatively",
    ),
    "relative out of the kernels": (
        "numina_kernels/eager/x.py",
        "from ...numina.video import VideoGrid",
        "(floor 0) imports numina.video (floor 1)",
    ),
    "too long": ("numina/identify/regions.py", "x = 1\n" * 401, "has 401 lines"),
    "too long in C++": ("csrc/token_probs.cpp", "// x\n" * 401, "has 401 lines"),
    "too long a test": ("tests/test_x.py", "x = 1\n" * 401, "has 401 lines"),
    "utils": ("numina/integrations/wan_utils.py", "", "named after nothing"),
    "common folder": ("numina/evaluation/common/boxes.py", "", "named after nothing"),
}


@pytest.mark.parametrize(("file", "source", "sentence"), BREACHES.values(), ids=BREACHES)
def test_a_planted_breach_is_caught(tmp_path: Path, file: str, source: str, sentence: str):
    _plant(tmp_path, file, source)
    # Modules that the planted imports mean.
    for known in ("numina/cli.py", "numina/prompt/counts.py"):
        _plant(tmp_path, known, "")
    found = breaches(tmp_path)
    assert len(found) == 1, found
    assert sentence in found[0]


ALLOWED = {
    "type checking": (
        "numina/identify/heads.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import diffusers",
    ),
    "own floor": ("numina/refine/refinement.py", "from numina.refine.placement import place"),
    "room below": ("numina/identify/heads.py", "from numina_kernels import AttentionMap"),
    "lazy matplotlib": ("numina/report/charts.py", "def f():\n    import matplotlib"),
    "longest match": ("numina/report/video.py", "import av\nfrom numina.report import x"),
    "relative in kernels": ("numina_kernels/eager/x.py", "from ..errors import E"),
    "triton at home": ("numina_kernels/triton/x.py", "import triton.language as tl"),
    "exactly 400 lines": ("numina/identify/regions.py", "x = 1\n" * 400),
}


@pytest.mark.parametrize(("file", "source"), ALLOWED.values(), ids=ALLOWED)
def test_what_is_allowed_passes(tmp_path: Path, file: str, source: str):
    _plant(tmp_path, file, source)
    assert breaches(tmp_path) == []


def _plant(root: Path, file: str, source: str) -> None:
    path = root / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source, encoding="utf-8")


# Stands in for an environment in which only torch and what torch needs are installed.
TORCH_ALONE = """
import sys

allowed = set(sys.stdlib_module_names) | {"torch", "torchgen", "functorch", "numina_kernels"}
allowed |= {"typing_extensions", "sympy", "mpmath", "networkx", "jinja2", "markupsafe", "fsspec"}
allowed |= {"filelock", "setuptools", "_distutils_hack"}

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in allowed:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
import numina_kernels
"""

LIGHT_IMPORT = """
import sys
import time
import torch

start = time.process_time()
import numina
seconds = time.process_time() - start
heavy = {"diffusers", "transformers", "sklearn", "scipy", "av", "jinja2", "typer", "matplotlib"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
assert seconds < 0.3, f"import numina took {seconds:.2f} s beyond torch"
"""


@pytest.mark.parametrize("script", [TORCH_ALONE, LIGHT_IMPORT], ids=["torch_alone", "light"])
def test_packages_import_with_little(script: str):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr

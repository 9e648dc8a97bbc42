"""Fixtures of the tests of numina_kernels."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from numina_kernels.impl import Impl, is_installed
from tests.kernels.drawn_results import write_results

needs_extension = pytest.mark.skipif(
    not is_installed(Impl.CPU),
    reason="the C++ extension is not built: pip install --no-build-isolation --editable .",
)


def runs_interpreted() -> bool:
    """Whether Triton's kernels take tensors on the CPU: its interpreter was asked for in time."""
    if not is_installed(Impl.TRITON):
        return False
    import triton

    return bool(triton.knobs.runtime.interpret)


needs_interpreter = pytest.mark.skipif(
    not runs_interpreted(), reason="triton is not installed, or runs on a GPU"
)
needs_triton = pytest.mark.skipif(
    not runs_interpreted() and not (is_installed(Impl.TRITON) and torch.cuda.is_available()),
    reason="triton is not installed, or has neither a GPU nor its interpreter",
)
WITHOUT_TRITON = [Impl.EAGER, pytest.param(Impl.CPU, marks=needs_extension)]
# Every operation on a tile takes the interpreter some 20 microseconds.
INTERPRETED = pytest.param(Impl.TRITON, marks=[needs_interpreter, pytest.mark.slow])
ANYWHERE = pytest.param(Impl.TRITON, marks=[needs_triton, pytest.mark.slow])


@pytest.fixture(params=[Impl.REFERENCE, *WITHOUT_TRITON, INTERPRETED], ids=str, scope="session")
def impl(request: pytest.FixtureRequest) -> Impl:
    """Every implementation that runs on a CPU; the oracle owes what is known by hand as well."""
    return request.param


@pytest.fixture(params=[*WITHOUT_TRITON, ANYWHERE], ids=str, scope="session")
def drawn_impl(request: pytest.FixtureRequest) -> Impl:
    """Every implementation, Triton's on a GPU where there is one."""
    return request.param


@pytest.fixture(scope="session", autouse=True)
def _fused_like_hardware() -> Iterator[None]:
    """Let Triton's interpreter round a fused multiply-add once, as a GPU does, and not twice."""
    if not runs_interpreted():
        yield
        return
    import numpy as np
    from triton.runtime import interpreter

    def fused(_: Any, x: Any, y: Any, z: Any) -> Any:
        # A product of two float32 is exact in float64.
        x64, y64, z64 = (operand.data.astype(np.float64) for operand in (x, y, z))
        # Infinities are meant, and a GPU does not remark on them.
        with np.errstate(over="ignore", invalid="ignore"):
            result = (x64 * y64 + z64).astype(z.data.dtype)
        return interpreter.TensorHandle(result, z.dtype.scalar)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(interpreter.InterpreterBuilder, "create_fma", fused)
        yield


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("drawn cases", "the long run of tests/kernels/test_drawn_cases.py")
    group.addoption(
        "--drawn-cases", type=int, default=500, help="of each operation, dtype and implementation"
    )
    group.addoption(
        "--drawn-cases-out", type=Path, help="result file of the long run; must not exist"
    )


# Known only where pytest was pointed at this folder.
@pytest.fixture(scope="session")
def drawn_count(request: pytest.FixtureRequest) -> int:
    """Cases of the long run, of each operation, dtype and implementation."""
    return request.config.getoption("drawn_cases", default=500)


@pytest.fixture(scope="session")
def drawn_rows(request: pytest.FixtureRequest, drawn_count: int) -> Iterator[list[dict[str, Any]]]:
    """Rows of the long run's result file, which is written when all of it is over."""
    out = request.config.getoption("drawn_cases_out", default=None)
    if out is not None and out.exists():
        pytest.exit(f"{out} exists: result files are added, never overwritten", returncode=4)
    rows: list[dict[str, Any]] = []
    yield rows
    if out is not None:
        write_results(out, drawn_count, rows)

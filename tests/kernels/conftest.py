"""Fixtures of the tests of numina_kernels."""

import pytest

from numina_kernels.impl import Impl, is_installed

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
IMPLS = [
    Impl.EAGER,
    pytest.param(Impl.CPU, marks=needs_extension),
    # Every operation on a tile takes the interpreter some 20 microseconds.
    pytest.param(Impl.TRITON, marks=[needs_interpreter, pytest.mark.slow]),
]


# For the session, so that hypothesis may draw many cases for one implementation.
@pytest.fixture(params=IMPLS, ids=str, scope="session")
def impl(request: pytest.FixtureRequest) -> Impl:
    """Every implementation that a CPU can hold against the oracle."""
    return request.param

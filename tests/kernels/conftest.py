"""Fixtures of the tests of numina_kernels."""

import pytest

from numina_kernels.impl import Impl, is_installed

needs_extension = pytest.mark.skipif(
    not is_installed(Impl.CPU),
    reason="the C++ extension is not built: pip install --no-build-isolation --editable .",
)


# For the session, so that hypothesis may draw many cases for one implementation.
@pytest.fixture(
    params=[Impl.EAGER, pytest.param(Impl.CPU, marks=needs_extension)], ids=str, scope="session"
)
def impl(request: pytest.FixtureRequest) -> Impl:
    """Every implementation that a CPU can hold against the oracle."""
    return request.param

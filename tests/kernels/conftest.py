"""Fixtures of the tests of numina_kernels."""

import pytest

from numina_kernels.impl import Impl, is_installed


@pytest.fixture(params=[impl for impl in (Impl.EAGER, Impl.CPU) if is_installed(impl)], ids=str)
def impl(request: pytest.FixtureRequest) -> Impl:
    """Every implementation that this machine can hold against the oracle."""
    return request.param

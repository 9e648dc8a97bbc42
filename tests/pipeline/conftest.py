"""One tiny pipeline for all tests of generate(): each of them must leave it as it was."""

import pytest
from diffusers import WanPipeline

from tests.tiny_wan import tiny_wan


@pytest.fixture(scope="session")
def pipe() -> WanPipeline:
    return tiny_wan()

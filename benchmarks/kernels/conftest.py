"""Options of the benchmarks under pytest."""

import pytest

from benchmarks.kernels.shapes import SHAPES, TINY


def pytest_addoption(parser: pytest.Parser) -> None:
    names = [shape.name for shape in (*TINY, *SHAPES)]
    parser.addoption("--shape", choices=names, default=TINY[0].name, help="whose attention it is")

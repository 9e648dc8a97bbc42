"""A pytest plugin for the tests of diffusers: its transformers attend through our processors.

Each forward pass of a transformer that numina knows has our processor at every site, around the
attention that the model would have computed itself. CONTRIBUTING.md says how it is called.
"""

from collections import Counter
from collections.abc import Callable
from functools import wraps
from typing import Any

import pytest
import torch

from numina.integrations import ForwardPass, Site, adapter_for, attached
from numina.integrations.registry import _ADAPTERS as KNOWN

PASSES: Counter[str] = Counter()


def pytest_configure() -> None:
    for family in KNOWN:
        family.__call__ = through_seam(family.__call__)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    for family, number in sorted(PASSES.items()):
        terminalreporter.write_line(f"{number} passes of {family} through numina's processors")


def pytest_sessionfinish(session: pytest.Session) -> None:
    # Tests through which no transformer ran say nothing of our processors.
    if not PASSES and session.testscollected:
        session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED


def through_seam(call: Callable[..., Any]) -> Callable[..., Any]:
    """A model's ``__call__``, with our processors on it for as long as it takes."""

    @wraps(call)
    def called(self: Any, *args: Any, **kwargs: Any) -> Any:
        # What a test derives from a model, and what is traced, is left to it.
        if type(self) not in KNOWN or torch.compiler.is_compiling():
            return call(self, *args, **kwargs)
        adapter = adapter_for(self)
        sites = [
            Site(layer, kind)
            for layer in range(adapter.num_layers(self))
            for kind in ("self", "cross")
        ]
        rows = len(ForwardPass.of(self, args, kwargs).latents)
        with attached(self, dict.fromkeys(sites, _as_the_model_would), adapter, videos=rows):
            PASSES[type(self).__name__] += 1
            return call(self, *args, **kwargs)

    return called


def _as_the_model_would(query: Any, key: Any, value: Any, moment: Any, stock: Any) -> Any:
    return stock(query, key, value)

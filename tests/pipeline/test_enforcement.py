"""What is enforced shows in the predictions: removed instances go, added ones begin as others."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from numina.attention.clean_prediction import CleanPrediction
from numina.combination import Combination
from numina.generation.enforcement import Enforcement
from numina.layout import Layout, LayoutEdit
from numina.methods.paper import Paper
from numina.methods.robust import Robust
from tests.method.clean_scenes import FIRST, SECOND, after, layout, predicted, scene

THIRD = (slice(None), slice(0, 2), slice(5, 7))
RUN = SimpleNamespace(noises=[0.9 - 0.1 * step for step in range(8)])


def moved_over():
    """The second instance goes, and a copy of the first comes elsewhere."""
    before = layout(FIRST, SECOND)
    labels = np.where(before.labels == 2, np.int16(0), before.labels)
    labels[THIRD] = 3
    return LayoutEdit(before, Layout(labels, (0, 0, 0)), added=(3,), removed=(2,), templates=(1,))


def enforced(method, mode="restart"):
    enforcement = Enforcement(method, RUN, text=None, num_nouns=1, mode=mode)
    enforcement.enforce([moved_over()])
    return enforcement.grafted(enforcement.erasure)


def shown(change):
    return after(change, predicted(scene(FIRST, SECOND)))


@pytest.mark.parametrize(
    ("changes", "mode", "expected"),
    [
        ({}, "restart", (FIRST, THIRD)),
        ({}, "one-pass", (FIRST,)),
        ({"grafting": None}, "restart", (FIRST,)),
        ({"erasure": None}, "restart", (FIRST, SECOND, THIRD)),
    ],
)
def test_predictions_show_the_edit(changes, mode, expected):
    change = enforced(replace(Robust(), **changes), mode)
    torch.testing.assert_close(shown(change), scene(*expected), atol=5e-3, rtol=0)


def test_what_is_erased_is_not_grafted_elsewhere():
    """The template lies where an instance was taken away: the copy is of the scenery."""
    before = layout(FIRST)
    labels = np.zeros_like(before.labels)
    labels[THIRD] = 2
    edit = LayoutEdit(before, Layout(labels, (0, 0)), added=(2,), removed=(1,), templates=(1,))
    enforcement = Enforcement(Robust(), RUN, text=None, num_nouns=1, mode="restart")
    enforcement.enforce([edit])
    clean = after(enforcement.grafted(enforcement.erasure), predicted(scene(FIRST)))
    torch.testing.assert_close(clean, scene(), atol=5e-3, rtol=0)


def test_the_published_method_leaves_predictions_alone():
    enforcement = Enforcement(Paper(), RUN, text=None, num_nouns=1, mode="restart")
    enforcement.enforce([moved_over()])
    assert enforcement.grafted(enforcement.erasure)(predicted(scene(FIRST, SECOND))) is None


def test_a_look_is_not_shown_the_copies():
    """It sees what the model makes of the place, and the erased one gone."""
    enforcement = Enforcement(Robust(), RUN, text=None, num_nouns=1, mode="restart")
    enforcement.enforce([moved_over()])
    looking = CleanPrediction(Combination, inner=enforcement.erasure)
    clean = after(enforcement.grafted(looking), predicted(scene(FIRST, SECOND)))
    torch.testing.assert_close(clean, scene(FIRST, THIRD), atol=5e-3, rtol=0)
    torch.testing.assert_close(looking.latents, scene(FIRST), atol=5e-3, rtol=0)

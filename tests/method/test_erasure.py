"""A removed instance is gone from every prediction, and nothing else is."""

import numpy as np
import pytest
import torch

from numina.guidance.erasure import Erasure, ErasureSpec
from numina.layout import Layout, LayoutEdit
from tests.method.clean_scenes import FIRST, NOISE, SECOND, after, both, layout, predicted, scene


def without_second():
    before = layout(FIRST, SECOND)
    after = Layout(np.where(before.labels == 2, 0, before.labels), before.nouns)
    return LayoutEdit(before, after, removed=(2,))


def erasure(strength=1.0, **settings):
    return Erasure(ErasureSpec(**settings), lambda _: strength)


def test_the_ground_closes_over_a_removed_instance_and_the_kept_one_stays():
    erasing = erasure()
    erasing.remove([without_second()])
    clean = after(erasing, predicted(scene(FIRST, SECOND)))
    torch.testing.assert_close(clean, scene(FIRST), atol=5e-3, rtol=0)


def test_a_blurred_edge_goes_too():
    erasing = erasure(margin=0.5)
    erasing.remove([without_second()])
    blurred = scene(FIRST, SECOND)
    blurred[..., 6, 9] = 3.0  # one latent outside of the corner
    torch.testing.assert_close(after(erasing, predicted(blurred)), scene(FIRST), atol=5e-3, rtol=0)


def test_a_neighbour_is_neither_erased_nor_spread_over_the_hole():
    close = (slice(None), slice(3, 5), slice(3, 5))  # touches the second
    before = layout(close, SECOND)
    left = Layout(np.where(before.labels == 2, 0, before.labels), before.nouns)
    erasing = erasure(margin=1.0)
    erasing.remove([LayoutEdit(before, left, removed=(2,))])
    clean = after(erasing, predicted(scene(close, SECOND)))
    torch.testing.assert_close(clean, scene(close), atol=5e-3, rtol=0)


def test_strength_is_the_share_that_is_taken_out():
    erasing = erasure(strength=0.25)
    erasing.remove([without_second()])
    clean = after(erasing, predicted(scene(FIRST, SECOND)))
    expected = 0.75 * scene(FIRST, SECOND) + 0.25 * scene(FIRST)
    torch.testing.assert_close(clean, expected, atol=5e-3, rtol=0)


def test_branches_that_are_erased_apart_are_erased_together():
    erasing = erasure()
    erasing.remove([without_second()])
    negative = predicted(scene(SECOND, ground=-1.0), "uncond")
    positive = predicted(scene(FIRST, SECOND))
    apart = torch.cat([erasing(negative), erasing(positive)])
    assert torch.equal(erasing(both(negative, positive)), apart)


def test_what_was_removed_stays_removed_when_a_later_look_no_longer_sees_it():
    erasing = erasure()
    erasing.remove([without_second()])
    seen_now = layout(FIRST)
    erasing.remove([LayoutEdit(seen_now, seen_now)])
    clean = after(erasing, predicted(scene(FIRST, SECOND)))
    torch.testing.assert_close(clean, scene(FIRST), atol=5e-3, rtol=0)


def test_an_instance_that_is_placed_there_later_is_not_erased():
    erasing = erasure()
    erasing.remove([without_second()])
    again = layout(FIRST, SECOND)
    erasing.remove([LayoutEdit(layout(FIRST), again, added=(2,), templates=(1,))])
    assert erasing(predicted(scene(FIRST, SECOND))) is None


def test_videos_without_an_edit_are_left_alone():
    erasing = erasure()
    erasing.remove([None, without_second()])
    change = erasing(predicted(scene(FIRST, SECOND).repeat(2, 1, 1, 1, 1)))
    assert not change[0].any()
    assert change[1].any()


@pytest.mark.parametrize(
    "idle",
    [
        pytest.param(lambda: erasure(strength=0.0), id="no strength"),
        pytest.param(lambda: Erasure(None, lambda _: 1.0), id="no spec"),
    ],
)
def test_nothing_is_due_without_strength_or_settings(idle):
    erasing = idle()
    erasing.remove([without_second()])
    assert erasing(predicted(scene(FIRST, SECOND))) is None


@pytest.mark.parametrize("edits", [[], [None], [LayoutEdit(layout(FIRST), layout(FIRST))]])
def test_nothing_is_due_where_nothing_was_removed(edits):
    erasing = erasure()
    erasing.remove(edits)
    assert erasing(predicted(scene(FIRST))) is None


def test_low_precision_is_erased_in_float32():
    erasing = erasure()
    erasing.remove([without_second()])
    prediction = predicted(scene(FIRST, SECOND), dtype=torch.bfloat16)
    change = erasing(prediction)
    assert change.dtype == torch.float32
    clean = prediction.latents.float() - NOISE * (prediction.velocity.float() + change)
    # Latents and velocity of up to 6 were rounded to 8 bits, and are filled from their neighbours.
    torch.testing.assert_close(
        clean[..., 6:10, 10:14], scene()[..., 6:10, 10:14], atol=0.05, rtol=0
    )


@pytest.mark.parametrize("margin", [-0.1, float("inf"), float("nan")])
def test_a_margin_must_be_finite_and_not_negative(margin):
    with pytest.raises(ValueError, match="margin must be finite and not negative"):
        ErasureSpec(margin=margin)


def test_a_sighting_too_brief_to_count_is_erased():
    erasing = erasure()
    first = layout(FIRST)
    erasing.remove([LayoutEdit(first, first, brief=layout(SECOND))])
    clean = after(erasing, predicted(scene(FIRST, SECOND)))
    torch.testing.assert_close(clean, scene(FIRST), atol=5e-3, rtol=0)


def test_the_place_that_a_kept_instance_leaves_is_erased():
    moved = LayoutEdit(layout(FIRST), layout(SECOND))
    erasing = erasure()
    erasing.remove([moved])
    clean = after(erasing, predicted(scene(FIRST, SECOND)))
    torch.testing.assert_close(clean, scene(SECOND), atol=5e-3, rtol=0)

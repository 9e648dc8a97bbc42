"""An added instance begins as the likeness of its template, and nothing else changes."""

import numpy as np
import pytest
import torch

from numina.guidance.grafting import Grafting, GraftSpec
from numina.layout import Layout, LayoutEdit
from tests.method.clean_scenes import FIRST, GRID, SECOND, after, both, layout, predicted, scene


def with_second(template=1, place=SECOND):
    return LayoutEdit(layout(FIRST), layout(FIRST, place), added=(2,), templates=(template,))


def other_noun():
    """What comes is the first of its noun."""
    labels = with_second().after.labels
    return LayoutEdit(layout(FIRST), Layout(labels, (0, 1)), added=(2,), templates=(None,))


def grafting(strength=1.0, **settings):
    return Grafting(GraftSpec(**settings), lambda _: strength)


def grafted(edit, clean, **settings):
    """The clean latent that is left of a predicted one."""
    grafting_ = grafting(**settings)
    grafting_.add([edit])
    return after(grafting_, predicted(clean))


def same(one, other):
    torch.testing.assert_close(one, other, atol=1e-5, rtol=0)


def test_the_template_appears_where_it_is_added_and_stays_where_it_is():
    same(grafted(with_second(), scene(FIRST)), scene(FIRST, SECOND))


def test_its_blurred_edge_comes_along():
    blurred, expected = scene(FIRST), scene(FIRST, SECOND)
    blurred[..., 6, 6] = expected[..., 6, 6] = expected[..., 10, 14] = 3.0
    same(grafted(with_second(), blurred, margin=0.5), expected)
    expected[..., 10, 14] = 1.0
    same(grafted(with_second(), blurred, margin=0.0), expected)


def test_a_neighbour_is_not_painted_over():
    close = (slice(None), slice(3, 5), slice(3, 5))  # touches the second
    before, after_ = layout(FIRST, close), layout(FIRST, close, SECOND)
    edit = LayoutEdit(before, after_, added=(3,), templates=(1,))
    same(grafted(edit, scene(FIRST, close), margin=2.0), scene(FIRST, close, SECOND))


def test_a_copy_at_half_the_size_is_the_whole_template():
    large = (slice(None), slice(0, 4), slice(0, 4))
    edit = LayoutEdit(layout(large), layout(large, SECOND), added=(2,), templates=(1,))
    clean = scene(large)
    clean[..., :4, :4] = 7.0  # its first quarter
    expected = clean.clone()
    expected[..., 6:10, 10:14] = 5.0
    expected[..., 6:8, 10:12] = 7.0
    same(grafted(edit, clean, margin=0.0), expected)


def test_a_frame_without_the_template_has_it_from_the_nearest_one():
    before = layout((slice(1), *FIRST[1:]))
    labels = before.labels.copy()
    labels[SECOND] = 2
    edit = LayoutEdit(before, Layout(labels, (0, 0)), added=(2,), templates=(1,))
    first = (slice(1), *FIRST[1:])
    same(grafted(edit, scene(first)), scene(first, SECOND))


def test_a_template_that_is_to_move_is_copied_from_where_it_is_still():
    """In the second frame it is held where the model has not drawn it yet."""
    before = layout((slice(1), *FIRST[1:]))
    labels = before.labels.copy()
    labels[1, 4:6, 1:3] = 1
    labels[SECOND] = 2
    edit = LayoutEdit(before, Layout(labels, (0, 0)), added=(2,), templates=(1,))
    first = (slice(1), *FIRST[1:])
    same(grafted(edit, scene(first)), scene(first, SECOND))


def test_a_template_is_copied_where_the_border_does_not_cut_it():
    cut, whole = (slice(1), slice(2, 4), slice(0, 1)), (slice(1, 2), slice(2, 4), slice(0, 2))
    labels = np.zeros(GRID, np.int16)
    labels[cut] = labels[whole] = 1
    before = Layout(labels, (0,))
    after_ = labels.copy()
    after_[SECOND] = 2
    edit = LayoutEdit(before, Layout(after_, (0, 0)), added=(2,), templates=(1,))
    clean = scene(cut, whole)
    same(grafted(edit, clean, margin=0.0), scene(cut, whole, SECOND))


def test_at_the_border_only_what_the_frame_shows_is_copied():
    edge = (slice(None), slice(0, 2), slice(0, 2))
    edit = LayoutEdit(layout(edge), layout(edge, SECOND), added=(2,), templates=(1,))
    same(grafted(edit, scene(edge), margin=1.0), scene(edge, SECOND))


def test_one_without_a_template_is_the_likeness_of_the_median_of_its_noun():
    """It was seen too briefly to count, say, so that its shape is its own."""
    small, large = (slice(None), slice(0, 1), slice(0, 1)), (slice(None), slice(0, 3), slice(5, 8))
    before, after_ = layout(large, FIRST, small), layout(large, FIRST, small, SECOND)
    edit = LayoutEdit(before, after_, added=(4,), templates=(None,))
    clean = scene(large, FIRST, small)
    for value, (_, rows, columns) in zip((7.0, 6.0, 8.0), (large, FIRST, small), strict=True):
        clean[..., 2 * rows.start : 2 * rows.stop, 2 * columns.start : 2 * columns.stop] = value
    expected = clean.clone()
    expected[..., 6:10, 10:14] = 6.0
    same(grafted(edit, clean, margin=0.0), expected)


def test_strength_is_the_share_that_is_copied():
    expected = 0.75 * scene(FIRST) + 0.25 * scene(FIRST, SECOND)
    same(grafted(with_second(), scene(FIRST), strength=0.25), expected)


def test_branches_that_are_grafted_apart_are_grafted_together():
    grafting_ = grafting()
    grafting_.add([with_second()])
    negative = predicted(scene(FIRST, ground=-1.0), "uncond")
    positive = predicted(scene(FIRST))
    apart = torch.cat([grafting_(negative), grafting_(positive)])
    assert torch.equal(grafting_(both(negative, positive)), apart)


def test_a_later_edit_takes_the_place_of_an_earlier_one_and_none_leaves_it():
    grafting_ = grafting()
    grafting_.add([with_second()])
    grafting_.add([None])
    same(after(grafting_, predicted(scene(FIRST))), scene(FIRST, SECOND))
    elsewhere = (slice(None), slice(4, 6), slice(2, 4))
    grafting_.add([with_second(place=elsewhere)])
    same(after(grafting_, predicted(scene(FIRST))), scene(FIRST, elsewhere))


def test_videos_without_an_edit_are_left_alone():
    grafting_ = grafting()
    grafting_.add([None, with_second()])
    change = grafting_(predicted(scene(FIRST).repeat(2, 1, 1, 1, 1)))
    assert not change[0].any()
    assert change[1].any()


@pytest.mark.parametrize(
    ("idle", "edit"),
    [
        pytest.param(grafting(strength=0.0), with_second(), id="no strength"),
        pytest.param(grafting(until=0.9), with_second(), id="too late"),
        pytest.param(Grafting(None, lambda _: 1.0), with_second(), id="no spec"),
        pytest.param(grafting(), other_noun(), id="none of its noun"),
        pytest.param(grafting(), LayoutEdit(layout(FIRST), layout(FIRST)), id="nothing added"),
        pytest.param(grafting(), None, id="no edit"),
    ],
)
def test_nothing_is_due(idle, edit):
    idle.add([edit])
    assert idle(predicted(scene(FIRST))) is None


def test_low_precision_is_grafted_in_float32():
    grafting_ = grafting()
    grafting_.add([with_second()])
    prediction = predicted(scene(FIRST), dtype=torch.bfloat16)
    change = grafting_(prediction)
    assert change.dtype == torch.float32
    clean = prediction.latents.float() - prediction.noise * (prediction.velocity.float() + change)
    torch.testing.assert_close(clean, scene(FIRST, SECOND), atol=0.05, rtol=0)


def test_a_template_that_is_seen_nowhere_is_not_copied():
    labels = np.zeros(GRID, np.int16)
    labels[SECOND] = 2
    edit = LayoutEdit(layout(FIRST), Layout(labels, (0, 0)), added=(2,), templates=(1,))
    change = grafting()
    change.add([edit])
    assert change(predicted(scene(FIRST))) is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"margin": -0.1}, "margin must be finite and not negative"),
        ({"margin": float("nan")}, "margin must be finite and not negative"),
        ({"until": 1.1}, "until must be a noise level in 0..1"),
    ],
)
def test_settings_are_checked(settings, message):
    with pytest.raises(ValueError, match=message):
        GraftSpec(**settings)

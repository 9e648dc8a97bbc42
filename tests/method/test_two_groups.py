"""Two groups of one noun: what both attend to alike says nothing, what one attends to more does."""

import numpy as np
import pytest

from numina.identify.clean_latent import latent_layout
from numina.identify.tracks import link_tracks
from numina.methods.robust import Robust
from numina.prompt.counts import parse_counts, targets_from_counts
from numina.refine.refinement import refine_layout
from numina.video import VideoGrid

GRID = VideoGrid(3, 16, 16)
PROMPT = "two red balls and three blue balls on the grass"
CORNERS = [(1, 1), (1, 11), (6, 6), (11, 1), (11, 11)]
RED = (0, 3)  # indices of CORNERS


def planted(own, shared=1.0, looks_alike=True, seed=0):
    """A clean latent of five balls, and where both groups attend, ``[2, F, Y, X]``."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((5, *GRID.shape))
    for mask, (row, column) in zip(masks, CORNERS, strict=True):
        mask[:, row : row + 4, column : column + 4] = 1
    look, other = rng.normal(size=(2, 8, 1, 1, 1))
    red = masks[list(RED)].sum(0)
    blue = masks.sum(0) - red
    clean = 3 * (look * red + (look if looks_alike else other) * blue)
    clean = clean.repeat(2, axis=2).repeat(2, axis=3)
    clean = clean + 0.3 * rng.normal(size=clean.shape)
    focus = shared * (red + blue) + own * np.stack([red, blue])
    focus = focus + 0.05 * rng.normal(size=focus.shape)
    return clean, focus.astype(np.float32)


# Beyond, balls that look alike are told by chance: what they share is eight times what they do not.
@pytest.mark.parametrize(
    ("shared", "looks_alike"), [(0.0, True), (0.0, False), (1.0, True), (1.0, False), (4.0, False)]
)
def test_the_common_attention_of_two_groups_does_not_decide(shared, looks_alike):
    """The word "balls" attracts all five; what "red" adds on two of them tells them apart."""
    clean, focus = planted(0.5, shared, looks_alike)
    layout = link_tracks(latent_layout(clean, focus, GRID, Robust().latent)).layout
    assert [layout.count(group) for group in range(2)] == [2, 3]
    for index, (row, column) in enumerate(CORNERS):
        label = layout.labels[0, row + 1, column + 1]
        assert layout.nouns[label - 1] == (0 if index in RED else 1)


def test_a_missing_ball_of_one_group_is_added_to_that_group():
    clean, focus = planted(0.5)
    layout = link_tracks(latent_layout(clean, focus, GRID, Robust().latent)).layout
    edit = refine_layout(layout, [3, 3], names=["red balls", "blue balls"])
    assert [edit.after.count(group) for group in range(2)] == [3, 3]
    assert [edit.after.nouns[label - 1] for label in edit.added] == [0]
    assert edit.templates[0] in layout.instances(0)


def test_groups_are_read_and_given_alike_each_with_its_own_words():
    parsed = parse_counts(PROMPT)
    given = targets_from_counts(PROMPT, {"red balls": 2, "blue balls": 3})
    for target, again, words in zip(parsed, given, ("red balls", "blue balls"), strict=True):
        assert (again.phrase, again.count, again.spans) == (words, target.count, target.spans)
        assert [PROMPT[slice(*span)] for span in target.spans] == [words]
        assert again.attributes == target.attributes

"""The paper's bias on edited patches, against its formulas written out."""

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from numina.attend import Moment
from numina.errors import LayoutError
from numina.guidance.edited_regions import PaperClasses, PaperPlan, PaperStrengths, paper_bias
from numina.layout import Layout, LayoutEdit
from numina.refine.frame_by_frame import refine_frames
from numina.refine.refinement import refine_layout
from numina.video import VideoGrid
from numina_kernels.biased_attention import biased_attention
from numina_kernels.key_groups import KeyGroups
from numina_kernels.layout_bias import BiasMode, LayoutBias
from numina_kernels.padding import FoldedKeys
from numina_kernels.testing import make_qkv

DELTA = torch.tensor(1.25)


def layout(*frames, nouns):
    """Frames of rows of patches."""
    return Layout(np.array(frames, np.int16), nouns)


# Frame 0: region 1 of noun 0 is copied; region 2 of noun 1 is removed, and it gets a disc.
# Frame 1: region 3 of noun 0 is copied.
BEFORE = layout([[1, 1, 0, 0], [2, 0, 0, 0]], [[3, 0, 0, 0], [3, 3, 0, 0]], nouns=(0, 1, 0))
AFTER = layout([[1, 1, 0, 4], [0, 0, 6, 6]], [[3, 5, 5, 0], [3, 3, 0, 0]], nouns=(0, 1, 0, 0, 0, 1))
EDIT = LayoutEdit(
    BEFORE, AFTER, added=(4, 5, 6), removed=(2,), templates=(1, 3, None)
)  # fmt: skip
GROUPS = KeyGroups(torch.tensor([[-1, 0, 0, 1, -1]], dtype=torch.int8), 2)
MOMENT = Moment(step=0, noise=1.0, branch="cond", layer=0, grid=VideoGrid(2, 2, 4))


def oracle(query, key, value, edit, groups, delta, strengths=None):
    """Attention of one video under the paper's bias, head by head and patch by patch, float64."""
    strengths = strengths or PaperStrengths()
    query, key, value = query.double(), key.double(), value.double()
    before, after = edit.before.labels.ravel(), edit.after.labels.ravel()
    frame_of = np.repeat(np.arange(len(edit.before.labels)), edit.before.labels[0].size)
    output = torch.empty_like(query)
    for head in range(query.shape[2]):
        scores = query[0, :, head] @ key[0, :, head].T * query.shape[-1] ** -0.5
        changed = scores.clone()
        for noun in range(groups.count):
            tokens = (groups.index[0] == noun).nonzero()[:, 0]
            for patch in range(len(before)):
                old, new = int(before[patch]), int(after[patch])
                if old in edit.removed and edit.before.nouns[old - 1] == noun:
                    changed[patch, tokens] = scores[patch, tokens] + strengths.removal * delta
                if new in edit.added and edit.after.nouns[new - 1] == noun:
                    template = edit.templates[edit.added.index(new)]
                    if template is None:
                        changed[patch, tokens] = scores[patch, tokens] + strengths.boost * delta
                    else:
                        region = np.flatnonzero(
                            (before == template) & (frame_of == frame_of[patch])
                        )
                        mean = scores[torch.from_numpy(region)][:, tokens].mean()
                        changed[patch, tokens] = delta * mean
        output[0, :, head] = changed.softmax(-1) @ value[0, :, head]
    return output


def test_classes_enumerate_templates_and_frames():
    classes = PaperClasses.of([EDIT], 2)
    grid = classes.labels.reshape(2, 2, 2, 4).tolist()
    assert grid[0] == [[[0, 0, 0, 3], [0, 0, 0, 0]], [[0, 4, 4, 0], [0, 0, 0, 0]]]
    assert grid[1] == [[[0, 0, 0, 0], [1, 0, 2, 2]], [[0, 0, 0, 0], [0, 0, 0, 0]]]
    add, overwrite = BiasMode.ADD, BiasMode.OVERWRITE
    assert classes.mode.tolist() == [[[add, add, add, overwrite, overwrite]] * 2]
    assert classes.cells.tolist() == [[0, 0], [0, 0], [3, 4]]
    assert classes.patches.tolist() == [[0] * 5, [0, 1, 8, 12, 13]]
    third = pytest.approx(1 / 3)
    assert classes.average.tolist() == [[0.5, 0.5, 0, 0, 0], [0, 0, third, third, third]]


def test_the_table_by_hand():
    query = torch.zeros(1, 16, 2, 4)
    query[0, 0, 0, 0], query[0, 1, 0, 0] = 2.0, 4.0  # region 1, head 0
    query[0, 8, 1, 0] = 9.0  # one of three patches of region 3, head 1
    key = torch.zeros(1, 5, 2, 4)
    key[0, 1, :, 0], key[0, 2, :, 0] = 1.0, 3.0  # the tokens of noun 0
    bias = paper_bias(PaperClasses.of([EDIT], 2), query, key, GROUPS, DELTA)
    # mean q . mean k / sqrt(4): 3 * 2 / 2 in head 0, 3 * 2 / 2 in head 1.
    assert bias.table[0, 0, 0].tolist() == pytest.approx([0, -10, 0.8, 3, 0])
    assert bias.table[0, 1, 0].tolist() == pytest.approx([0, -10, 0.8, 0, 3])
    assert bias.table[0, :, 1].tolist() == [pytest.approx([0, -10, 0.8, 0, 0])] * 2
    assert bias.strength is DELTA


@pytest.mark.parametrize("delta", [1.75, 1.0, 0.25])
def test_the_bias_is_that_of_a_dense_oracle(delta):
    query, key, value = make_qkv(1, 16, 5, 3, 8, dtype=torch.float32)
    bias = paper_bias(PaperClasses.of([EDIT], 2), query, key, GROUPS, torch.tensor(delta))
    output, _ = biased_attention(query, key, value, bias)
    expected = oracle(query, key, value, EDIT, GROUPS, delta)
    torch.testing.assert_close(output.double(), expected, rtol=1e-5, atol=1e-5)


def test_refined_frames_are_guided_as_the_oracle_says():
    labels = np.zeros((3, 5, 6), np.int16)
    labels[0, :2, :2], labels[0, 3:, :3], labels[1, 1:3, 2:5], labels[2, 4, 4:] = 1, 2, 3, 4
    labels[2, 0, :3] = 5
    found = Layout(labels, (0, 0, 0, 0, 1))
    edit = refine_frames(found, [2, 0])
    assert edit.removed
    assert None not in edit.templates
    query, key, value = make_qkv(1, 90, 5, 2, 8, dtype=torch.float32)
    strengths = PaperStrengths(removal=-4.0, boost=0.5)
    plan = PaperPlan([edit], 2, strengths)
    bias = plan.bias(query, FoldedKeys(key, value, None), GROUPS, DELTA, MOMENT)
    output, _ = biased_attention(query, key, value, bias)
    expected = oracle(query, key, value, edit, GROUPS, float(DELTA), strengths)
    torch.testing.assert_close(output.double(), expected, rtol=1e-5, atol=1e-5)


def test_low_precision_queries_get_targets_in_float32():
    query, key, _ = make_qkv(1, 16, 5, 2, 8, dtype=torch.bfloat16)
    classes = PaperClasses.of([EDIT], 2)
    low = paper_bias(classes, query, key, GROUPS, DELTA).table
    full = paper_bias(classes, query.float(), key.float(), GROUPS, DELTA).table
    assert low.dtype == torch.float32
    assert torch.equal(low, full)


def test_a_tracked_template_is_averaged_in_each_frame():
    labels = np.zeros((3, 6, 8), np.int16)
    labels[:, 1:3, 1:3] = 1
    labels[2] = 0
    edit = refine_layout(Layout(labels, (0,)), [2])
    classes = PaperClasses.of([edit], 1)
    assert classes.mode.shape[-1] == 3 + 3
    rows = [set(classes.patches[1][weight > 0].tolist()) for weight in classes.average]
    first = {9, 10, 17, 18}
    # In the last frame the template is not seen, so all of it counts.
    assert rows == [first, {48 + p for p in first}, first | {48 + p for p in first}]
    torch.testing.assert_close(classes.average.sum(1), torch.ones(3))


def test_rows_are_guided_by_their_own_edits():
    query, key, value = make_qkv(3, 16, 5, 2, 8, dtype=torch.float32)
    other = LayoutEdit(BEFORE, layout(*np.where(BEFORE.labels == 1, 0, BEFORE.labels),
                                      nouns=BEFORE.nouns), removed=(1,))  # fmt: skip
    plan = PaperPlan([EDIT, None, other], 2)
    text = FoldedKeys(key, value, None)
    output, _ = biased_attention(query, key, value, plan.bias(query, text, GROUPS, DELTA, MOMENT))
    plain, _ = biased_attention(query, key, value)
    assert torch.equal(output[1], plain[1])
    for row, edit in ((0, EDIT), (2, other)):
        one = slice(row, row + 1)
        expected = oracle(query[one], key[one], value[one], edit, GROUPS, float(DELTA))
        torch.testing.assert_close(output[one].double(), expected, rtol=1e-5, atol=1e-5)


def test_an_edit_without_templates_has_a_small_table():
    removed = LayoutEdit(BEFORE, layout(*np.where(BEFORE.labels == 1, 0, BEFORE.labels),
                                        nouns=BEFORE.nouns), removed=(1,))  # fmt: skip
    query, key, value = make_qkv(1, 16, 5, 2, 8, dtype=torch.float32)
    bias = paper_bias(PaperClasses.of([removed], 2), query, key, GROUPS, DELTA)
    assert bias.table.shape == (1, 2, 2, 3)
    output, _ = biased_attention(query, key, value, bias)
    expected = oracle(query, key, value, removed, GROUPS, float(DELTA))
    torch.testing.assert_close(output.double(), expected, rtol=1e-5, atol=1e-5)


def test_the_bias_passes_the_checks_that_it_skips():
    query, key, _ = make_qkv(1, 16, 5, 2, 8, dtype=torch.float32)
    bias = paper_bias(PaperClasses.of([EDIT], 2), query, key, GROUPS, DELTA)
    fields = ("labels", "groups", "table", "mode", "strength", "weight", "key_offset")
    LayoutBias(**{name: getattr(bias, name) for name in fields})


def test_a_noun_without_tokens_has_finite_targets():
    query, key, _ = make_qkv(1, 16, 5, 2, 8, dtype=torch.float32)
    nobody = KeyGroups(torch.full((1, 5), -1, dtype=torch.int8), 2)
    bias = paper_bias(PaperClasses.of([EDIT], 2), query, key, nobody, DELTA)
    assert torch.isfinite(bias.table).all()


def test_nothing_waits_for_the_device():
    query, key, _ = make_qkv(1, 16, 5, 2, 8, dtype=torch.float32)
    parts = PaperClasses.of([EDIT], 2)
    # A fake tensor has no values: reading one on the host raises.
    with FakeTensorMode() as mode:
        classes = PaperClasses(
            *(mode.from_tensor(getattr(parts, name)) for name in parts.__dataclass_fields__)
        )
        groups = KeyGroups.trusted(
            mode.from_tensor(GROUPS.index), 2, mode.from_tensor(GROUPS.columns)
        )
        query, key, delta = map(mode.from_tensor, (query, key, DELTA))
        bias = paper_bias(classes, query, key, groups, delta)
    assert bias.table.shape == (1, 2, 2, 5)


def test_more_templates_than_int8_can_tell_apart_are_refused():
    frames = 130
    labels = np.zeros((frames, 1, 4), np.int16)
    labels[:, 0, 0] = np.arange(frames) + 1
    after = labels.copy()
    after[:, 0, 2] = np.arange(frames) + frames + 1
    edit = LayoutEdit(
        Layout(labels, (0,) * frames),
        Layout(after, (0,) * (2 * frames)),
        added=tuple(range(frames + 1, 2 * frames + 1)),
        templates=tuple(range(1, frames + 1)),
    )
    with pytest.raises(LayoutError, match="more than 125 templates"):
        PaperClasses.of([edit], 1)


def test_another_batch_or_grid_is_refused():
    query, key, _ = make_qkv(1, 15, 5, 2, 8, dtype=torch.float32)
    with pytest.raises(LayoutError, match="1 videos of 16 patches"):
        paper_bias(PaperClasses.of([EDIT], 2), query, key, GROUPS, DELTA)


@pytest.mark.parametrize("settings", [{"removal": 1.0}, {"boost": -1.0}, {"boost": float("nan")}])
def test_constants_are_checked(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        PaperStrengths(**settings)

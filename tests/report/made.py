"""Made runs: stories with known counts, drawn without any model."""

import numpy as np
from numpy.typing import NDArray

from numina.layout import Layout, LayoutEdit
from numina.record import Cost, CountReport, Decision, Look, TargetRecord
from numina.report import Frames, RunStory, Tally, TargetTally

SIDE, NUM_FRAMES, LATENTS, GRID = 128, 5, 3, 16
COLOURS = ((222, 44, 44), (250, 214, 50), (52, 92, 236))
# Rows and columns of the patches that instances start from.
PLACES = ((2, 2), (2, 8), (8, 3), (10, 9), (6, 6), (11, 2), (3, 12))


def target(phrase: str, count: int, prompt: str) -> TargetRecord:
    """A target that the prompt mentions once."""
    start = prompt.index(phrase)
    return TargetRecord(phrase.split()[-1], phrase, count, ((start, start + len(phrase)),))


def layout(nouns: tuple[int, ...]) -> Layout:
    """Squares of 3 by 3 patches that drift to the right, one column a frame."""
    labels = np.zeros((LATENTS, GRID, GRID), np.int16)
    for label, (row, column) in enumerate(PLACES[: len(nouns)], 1):
        for frame in range(LATENTS):
            labels[frame, row : row + 3, column + frame : column + frame + 3] = label
    return Layout(labels, nouns)


def addition(nouns: tuple[int, ...], added: tuple[int, ...]) -> LayoutEdit:
    """An edit that adds instances of the nouns ``added`` to those of ``nouns``."""
    before, after = layout(nouns), layout(nouns + added)
    new = tuple(range(len(nouns) + 1, len(nouns + added) + 1))
    return LayoutEdit(before, after, added=new, templates=(1,) * len(new))


def removal(nouns: tuple[int, ...], removed: tuple[int, ...]) -> LayoutEdit:
    """An edit that removes the labels ``removed``."""
    before = layout(nouns)
    labels = np.where(np.isin(before.labels, removed), 0, before.labels).astype(np.int16)
    return LayoutEdit(before, Layout(labels, nouns), removed=removed)


def steadied() -> LayoutEdit:
    """Of two instances one misses the last frame; a third is seen in the first one alone."""
    full = layout((0, 0, 0))
    before, brief = full.labels.copy(), np.zeros_like(full.labels)
    before[full.labels == 3] = 0
    before[-1][full.labels[-1] == 2] = 0
    brief[0][full.labels[0] == 3] = 1
    return LayoutEdit(Layout(before, (0, 0)), layout((0, 0)), brief=Layout(brief, (0,)))


def look(edit: LayoutEdit, num_nouns: int, *, round_: int = 0, step: int = 3) -> Look:
    """A look with a focus on each noun's instances and three heads."""
    focus = np.stack([edit.before.mask(noun) for noun in range(num_nouns)]).astype(np.float32)
    ramp = np.linspace(0, 1, GRID, dtype=np.float32)
    maps = np.stack([np.outer(ramp, ramp), np.tile(ramp, (GRID, 1)), edit.before.mask(0)[0]])
    heads = ("layer 2, head 1", "layer 3, head 0", "layer 3, head 3")
    return Look(round_, step, 0.86, edit, focus * 0.1 + 0.02, heads, maps.astype(np.float32))


def video(layouts: Layout) -> Frames:
    """Discs at the instances of a layout on a dark ground, ``[F, Y, X, 3]``."""
    frames = np.empty((NUM_FRAMES, SIDE, SIDE, 3), np.uint8)
    frames[:] = np.linspace(30, 70, SIDE, dtype=np.uint8)[None, :, None, None]
    rows, columns = np.mgrid[:SIDE, :SIDE]
    patch = SIDE // GRID
    present = set(np.unique(layouts.labels).tolist())
    for label, noun in enumerate(layouts.nouns, 1):
        if label not in present:
            continue
        row, column = PLACES[label - 1]
        for frame in range(NUM_FRAMES):
            y, x = (row + 1.5) * patch, (column + 1.5 + frame / 2) * patch
            frames[frame][(rows - y) ** 2 + (columns - x) ** 2 < 11**2] = COLOURS[noun]
    return frames


def counted(before: int | tuple[int, ...], after: int | tuple[int, ...]) -> TargetTally:
    """Exact counts; a single number stands for every frame."""

    def tally(counts: int | tuple[int, ...]) -> Tally:
        return Tally(counts if isinstance(counts, tuple) else (counts,) * NUM_FRAMES, "counter")

    return TargetTally(tally(before), tally(after))


def strengths(steps: int = 20) -> tuple[tuple[float, float], ...]:
    """Full strength down to noise .5, then none."""
    noises: NDArray[np.float64] = np.linspace(1, 0.05, steps)
    return tuple((float(noise), 1.0 if noise >= 0.5 else 0.0) for noise in noises)


def story(
    prompt: str = "a video of three apples drifting right at sea",
    asked: tuple[tuple[str, int], ...] = (("apples", 3),),
    edit: LayoutEdit | None = None,
    exact: tuple[TargetTally, ...] | None = (counted(2, 3),),
    decision: Decision = "guided",
    reason: str = "The layout showed two apples where three were asked for.",
    model: str = "sprites",
    compare: bool = True,
    looks: tuple[Look, ...] | None = None,
) -> RunStory:
    """The story of a run in which one apple was missing, unless told otherwise."""
    edit = edit or addition((0, 0), (0,))
    targets = tuple(target(phrase, count, prompt) for phrase, count in asked)
    report = CountReport(
        prompt=prompt,
        targets=targets,
        decision=decision,
        reason=reason,
        looks=(look(edit, len(targets)),) if looks is None else looks,
        strengths=strengths() if decision == "guided" else (),
        identify=Cost(6.5, 0.8),
        total=Cost(40.0, 4.21, 3 * 2**28),
        settings={"preset": "robust", "mode": "one-pass", "rounds": 1},
    )
    return RunStory(
        report=report,
        model=model,
        seed=7,
        after=video(edit.after if decision == "guided" else edit.before),
        before=video(edit.before) if compare else None,
        exact=exact,
        plain=Cost(40.0, 3.98, 3 * 2**28) if compare else None,
        versions={"numina": "0.1.0", "torch": "2.13.0", "diffusers": "0.42.1"},
        fps=5,
    )

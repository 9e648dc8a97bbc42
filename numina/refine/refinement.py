"""From a layout and the counts asked for to the layout that shall be enforced."""

from collections.abc import Sequence
from numbers import Integral

import numpy as np
from numpy.typing import NDArray

from numina.errors import LayoutError, NoRoomError, TargetError
from numina.identify.tracks import (
    Tracks,
    frames_covered,
    tracks_of,
    velocity,
)
from numina.layout import Layout, LayoutEdit
from numina.refine.crowds import LARGEST_GROUP, SMALLEST_SIDE, crowd_scales, scaled
from numina.refine.draft import Draft, cropped
from numina.refine.placement import PlacementSpec, capacity, disc_of_area, place


def refine_layout(
    tracks: Tracks | Layout,
    counts: Sequence[int],
    spec: PlacementSpec | None = None,
    *,
    focus: NDArray[np.float32] | None = None,
    names: Sequence[str] | None = None,
) -> LayoutEdit:
    """Add or remove whole tracks until every noun has the number asked for.

    The paper (arXiv 2604.08546, section 4.2) refines every frame alone; here an instance comes or
    goes in all frames at once. Too many: the smallest, shortest, least attended tracks go. Too
    few: first tracks too short to be counted are promoted, then copies of the noun's median
    instance are placed, moving with the scene and ``spec.gap`` patches away from every instance
    of every noun in every frame. A noun without an instance copies a disc of the median area of
    the others, or, where nothing at all was found, one of the relative size that ``spec`` names.
    More than eight instances in all are a crowd: new ones get as small as the frame's area asks
    for, down to 2 x 2 patches (``refine.crowds``).

    Args:
        tracks: Linked instances, with or without the short ones.
        counts: Number asked for of each noun; 0 removes all.
        spec: Settings.
        focus: Where each noun attends, ``[G, F, Y, X]``, not negative. A track weighs its mean
            area times its share of the frames times its mean focus; without focus, the first two.
        names: The nouns' names, for messages.

    Returns:
        The edit. Kept instances are untouched, bit for bit. Promoted tracks count as added,
        without a template.

    Raises:
        TargetError: If a count is no whole number >= 0, or if a noun of the layout has none.
        NoRoomError: If the instances do not fit; the message names the largest count that does.
        LayoutError: If ``focus`` covers another grid or other nouns.
    """
    spec = spec or PlacementSpec()
    if isinstance(tracks, Layout):
        tracks = Tracks.of(tracks)
    before = tracks.layout
    wanted = check_counts(counts, (*before.nouns, *tracks.short.nouns))
    if focus is not None and focus.shape != (len(wanted), *before.labels.shape):
        raise LayoutError(
            f"focus must be [G, F, Y, X] {(len(wanted), *before.labels.shape)}, got {focus.shape}"
        )
    draft = Draft(before)
    for noun, count in enumerate(wanted):
        ranked = _ranked(before, tracks.seen, noun, focus)
        for label in ranked[: max(0, len(ranked) - count)]:
            draft.remove(label)
    drift = velocity(draft.layout())
    short_seen = frames_covered(tracks.short)
    for noun, count in enumerate(wanted):
        for label in reversed(_ranked(tracks.short, short_seen, noun, focus)):
            if draft.count(noun) < count:
                draft.promote(tracks.short, label, drift)
    missing = [count - draft.count(noun) for noun, count in enumerate(wanted)]
    if any(missing):
        draft = _filled(draft, missing, drift, spec, names)
    return draft.edit()


def check_counts(counts: Sequence[int], nouns: Sequence[int]) -> tuple[int, ...]:
    """Whole numbers >= 0, one for every noun that occurs.

    Raises:
        TargetError: If there is none for a noun, or one is anything else (``True``, 2.5, NaN …).
    """
    for noun, count in enumerate(counts):
        if isinstance(count, bool) or not isinstance(count, Integral) or count < 0:
            raise TargetError(
                f"the count of noun {noun} must be a whole number, 0 or more, got {count!r}"
            )
    if nouns and max(nouns) >= len(counts):
        raise TargetError(
            f"the layout has instances of noun {max(nouns)}, but only {len(counts)} counts came"
        )
    return tuple(int(count) for count in counts)


def _ranked(
    layout: Layout, seen: Sequence[int], noun: int, focus: NDArray[np.float32] | None
) -> list[int]:
    """Labels of a noun's instances, the one to go first in front."""
    weights = {}
    for label in layout.instances(noun):
        masks = layout.labels == label
        if masks.any():
            area = masks.sum() / masks.any((1, 2)).sum()
            attention = 1.0 if focus is None else float(focus[noun][masks].mean())
            weights[label] = float(area) * seen[label - 1] * attention
    return sorted(weights, key=lambda label: (weights[label], -label))


def _template(
    layout: Layout, noun: int, spec: PlacementSpec
) -> tuple[NDArray[np.bool_], int | None]:
    """Shape of the instances to be added, and the label that it is from."""
    tracks = tracks_of(layout)
    own = [label for label, track in tracks.items() if track.noun == noun]
    if own:
        size = {label: float(np.median(tracks[label].areas)) for label in own}
        label = sorted(own, key=lambda label: (size[label], label))[(len(own) - 1) // 2]
        frame = int(np.abs(tracks[label].areas - size[label]).argmin())
        return cropped(tracks[label].masks[frame]), label
    if tracks:
        return disc_of_area(float(np.median([np.median(t.areas) for t in tracks.values()]))), None
    return disc_of_area(spec.area * layout.labels[0].size), None


def _filled(
    draft: Draft,
    missing: Sequence[int],
    drift: NDArray[np.float64],
    spec: PlacementSpec,
    names: Sequence[str] | None,
) -> Draft:
    """The draft with the missing instances of every noun placed, all at the largest scale."""
    templates = {n: _template(draft.layout(), n, spec) for n, k in enumerate(missing) if k > 0}
    # Large shapes first: small ones still fit into what is left.
    order = sorted(templates, key=lambda noun: -int(templates[noun][0].sum()))
    scales = tuple(sorted(spec.scales, reverse=True))
    is_crowd = len(np.unique(draft.labels[draft.labels > 0])) + sum(missing) > LARGEST_GROUP
    if is_crowd:
        shapes = [templates[noun][0] for noun in order]
        wanted = [missing[noun] for noun in order]
        scales = crowd_scales(draft.labels > 0, shapes, wanted, spec.gap)
    for scale in scales:
        trial = draft.copy()
        for noun in order:
            template, label = templates[noun]
            shape = scaled(template, scale)
            own = np.argwhere(trial.layout().mask(noun))
            paths = place(
                trial.labels > 0,
                shape,
                missing[noun],
                velocity=drift,
                anchor=own[:, 1:].mean(0) if len(own) else None,
                spec=spec,
            )
            if paths is None:
                break
            for path in paths:
                # A promoted track has no label before the edit.
                known = label is not None and label <= len(trial.before.nouns)
                trial.lay(shape, path, noun, label if known else None)
        else:
            return trial
    there = trial.count(noun)
    most = there + capacity(trial.labels > 0, shape, velocity=drift, spec=spec)
    limit = f", even at {SMALLEST_SIDE} x {SMALLEST_SIDE} patches each" if is_crowd else ""
    if is_crowd and most <= LARGEST_GROUP:
        # Asked for so few, they would not be a crowd, and not be made as small.
        larger = scaled(template, min(spec.scales))
        most = min(most, there + capacity(trial.labels > 0, larger, velocity=drift, spec=spec))
        limit = ""
    _, rows, columns = trial.labels.shape
    raise NoRoomError(
        f"{there + missing[noun]} instances of {names[noun] if names else f'noun {noun}'} were "
        f"asked for, but at most {most} fit beside the others on frames of {rows} x {columns} "
        f"patches{limit}; ask for {most} or fewer, or for larger frames"
    )

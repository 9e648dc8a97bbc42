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
from numina.refine.presence import PresenceSpec, brief_sightings, completed
from numina.refine.quotas import Parts, Quota, frame_of, members, quotas_of


def refine_layout(
    tracks: Tracks | Layout,
    counts: Sequence[int],
    spec: PlacementSpec | None = None,
    *,
    focus: NDArray[np.float32] | None = None,
    names: Sequence[str] | None = None,
    places: Sequence[Parts] = (),
    presence: PresenceSpec | None = None,
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
        places: How each noun's count is shared among parts of the frame, empty for a noun that may
            be anywhere. An instance belongs to the place that its centre is in at a majority of
            the frames; one in a wrong place goes, and another one comes in the right place.

        presence: When an instance is there in a frame (``refine.presence``). Brief sightings that
            become no instance go, and kept instances are shown in every frame, apart from each
            other; None leaves both as they are.

    Returns:
        The edit. Kept instances are untouched, bit for bit, but where ``presence`` moves them.
        Promoted tracks count as added, without a template.

    Raises:
        TargetError: If a count is no whole number >= 0, or if a noun of the layout has none.
        NoRoomError: If the instances do not fit; the message names the largest count that does.
        LayoutError: If ``focus`` covers another grid or other nouns.
    """
    spec = spec or PlacementSpec()
    if isinstance(tracks, Layout):
        tracks = Tracks.of(tracks)
    before = tracks.layout if presence is None else tracks.sighted
    wanted = check_counts(counts, (*before.nouns, *tracks.short.nouns))
    if focus is not None and focus.shape != (len(wanted), *before.labels.shape):
        raise LayoutError(
            f"focus must be [G, F, Y, X] {(len(wanted), *before.labels.shape)}, got {focus.shape}"
        )
    quotas = quotas_of(wanted, places, frame_of(before))
    draft = Draft(before)
    for quota, own in zip(quotas, members(before, quotas), strict=True):
        ranked = _ranked(before, own, tracks.seen, focus)
        for label in ranked[: max(0, len(ranked) - quota.count)]:
            draft.remove(label)
    drift = velocity(draft.layout())
    short_seen = frames_covered(tracks.short)
    for at, own in enumerate(members(tracks.short, quotas)):
        for label in reversed(_ranked(tracks.short, own, short_seen, focus)):
            if len(members(draft.layout(), quotas)[at]) < quotas[at].count:
                draft.promote(tracks.short, label, drift)
    if presence is not None:
        draft.brief = brief_sightings(draft.left_of(tracks.short), presence)
        homes = {
            label: quota.within
            for quota, own in zip(quotas, members(draft.layout(), quotas), strict=True)
            for label in own
            if quota.within is not None
        }
        draft.labels = completed(draft.layout(), presence, spec.gap, homes).labels
    held = members(draft.layout(), quotas)
    missing = [quota.count - len(own) for quota, own in zip(quotas, held, strict=True)]
    if any(missing):
        draft = _filled(draft, quotas, missing, drift, spec, names)
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
    layout: Layout, labels: Sequence[int], seen: Sequence[int], focus: NDArray[np.float32] | None
) -> list[int]:
    """Instances of one noun, the one to go first in front."""
    weights = {}
    for label in labels:
        masks = layout.labels == label
        area = masks.sum() / masks.any((1, 2)).sum()
        noun = layout.nouns[label - 1]
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
    quotas: Sequence[Quota],
    missing: Sequence[int],
    drift: NDArray[np.float64],
    spec: PlacementSpec,
    names: Sequence[str] | None,
) -> Draft:
    """The draft with the missing instances of every quota placed, all at the largest scale."""
    short = [at for at, number in enumerate(missing) if number > 0]
    templates = {at: _template(draft.layout(), quotas[at].noun, spec) for at in short}
    # What is bound to a place goes first, then large shapes: others still fit into what is left.
    order = sorted(short, key=lambda at: (quotas[at].within is None, -int(templates[at][0].sum())))
    scales = tuple(sorted(spec.scales, reverse=True))
    is_crowd = len(np.unique(draft.labels[draft.labels > 0])) + sum(missing) > LARGEST_GROUP
    if is_crowd:
        shapes, wanted = [templates[at][0] for at in order], [missing[at] for at in order]
        scales = crowd_scales(draft.labels > 0, shapes, wanted, spec.gap)
    for scale in scales:
        trial = draft.copy()
        for at in order:
            template, label = templates[at]
            shape = scaled(template, scale)
            paths = place(
                trial.labels > 0,
                shape,
                missing[at],
                velocity=drift,
                anchor=_anchor(trial.layout(), quotas, at),
                spec=spec,
                within=quotas[at].within,
            )
            if paths is None:
                break
            for path in paths:
                # A promoted track has no label before the edit.
                known = label is not None and label <= len(trial.before.nouns)
                trial.lay(shape, path, quotas[at].noun, label if known else None)
        else:
            return trial
    raise _no_room(trial, quotas, at, missing[at], (template, shape), drift, spec, is_crowd, names)


def _anchor(layout: Layout, quotas: Sequence[Quota], at: int) -> NDArray[np.float64] | None:
    """What new instances of a quota shall be near to: its own ones, else its place's middle."""
    own = np.argwhere(np.isin(layout.labels, members(layout, quotas)[at]))
    if len(own):
        return np.asarray(own[:, 1:].mean(0))
    within = quotas[at].within
    if within is None or not within.any():
        return None
    return np.asarray(np.argwhere(within).mean(0))


def _no_room(
    draft: Draft,
    quotas: Sequence[Quota],
    at: int,
    missing: int,
    shapes: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    drift: NDArray[np.float64],
    spec: PlacementSpec,
    is_crowd: bool,
    names: Sequence[str] | None,
) -> NoRoomError:
    """The refusal of a quota, with the largest count that would have fitted."""
    template, smallest = shapes
    quota = quotas[at]
    there = len(members(draft.layout(), quotas)[at])

    def fit(shape: NDArray[np.bool_]) -> int:
        occupied = draft.labels > 0
        return there + capacity(occupied, shape, velocity=drift, spec=spec, within=quota.within)

    most = fit(smallest)
    limit = f", even at {SMALLEST_SIDE} x {SMALLEST_SIDE} patches each" if is_crowd else ""
    if is_crowd and most <= LARGEST_GROUP:
        # Asked for so few, they would not be a crowd, and not be made as small.
        most, limit = min(most, fit(scaled(template, min(spec.scales)))), ""
    rows, columns = frame_of(draft.before)
    noun = names[quota.noun] if names else f"noun {quota.noun}"
    where = f" {quota.phrase}" if quota.phrase else ""
    return NoRoomError(
        f"{there + missing} instances of {noun}{where} were asked for, but at most {most} fit "
        f"{'there ' if where else ''}beside the others on frames of {rows} x {columns} "
        f"patches{limit}; ask for {most} or fewer, or for larger frames"
    )

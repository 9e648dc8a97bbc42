"""Two edits made one: what a second round asks for, told from where the first one began."""

import numpy as np
from numpy.typing import NDArray

from numina.layout import Layout, LayoutEdit


def composed(earlier: LayoutEdit | None, later: LayoutEdit | None) -> LayoutEdit | None:
    """The edit from the layout before ``earlier`` to the one after ``later``.

    A round starts from the noise of the unguided run, so it has to ask for all that the rounds
    before it asked for: what they removed would be back, and what they added would be missing.

    Args:
        earlier: What was enforced in a run; None where nothing was.
        later: What a look at that run asks for, whose ``before`` is what became of
            ``earlier.after``. None or an empty edit asks for nothing more.

    Returns:
        The edit. An instance of ``later.after`` is the one of ``earlier.after`` of its noun that it
        shares most patches with, each being taken once; it has its label, and if it was added, its
        template. Others are added.
    """
    if earlier is None or later is None or later.is_empty:
        return later if earlier is None else earlier
    known = _matched(later.after, earlier.after)
    nouns, labels = list(earlier.after.nouns), np.zeros_like(earlier.after.labels)
    for label in _present(later.after):
        if label not in known:
            nouns.append(later.after.nouns[label - 1])
            known[label] = len(nouns)
        labels[later.after.labels == label] = known[label]
    after = Layout(labels, tuple(nouns))
    there = set(_present(after))
    templates = dict(zip(earlier.added, earlier.templates, strict=True))
    for label, template in zip(later.added, later.templates, strict=True):
        # A template is an instance of the layout before both.
        number = None if template is None else known.get(template)
        is_first = number is not None and number <= len(earlier.before.nouns)
        templates.setdefault(known[label], number if is_first else None)
    added = [label for label in _present(after) if label > len(earlier.before.nouns)]
    return LayoutEdit(
        before=earlier.before,
        after=after,
        added=tuple(added),
        removed=tuple(label for label in _present(earlier.before) if label not in there),
        templates=tuple(templates.get(label) for label in added),
        brief=earlier.brief,
    )


def _matched(layout: Layout, earlier: Layout) -> dict[int, int]:
    """Label in ``earlier`` of each instance of ``layout`` that is there too."""
    shared = _shared(layout, earlier)
    matched: dict[int, int] = {}
    for place in np.argsort(-shared, axis=None, kind="stable"):
        one, other = divmod(int(place), shared.shape[1])
        if shared[one, other] == 0:
            break
        if one not in matched and other not in matched.values():
            matched[one] = other
    return matched


def _shared(layout: Layout, earlier: Layout) -> NDArray[np.int64]:
    """Patches that two instances of one noun have in common, by label, ``[K + 1, E + 1]``."""
    size = (len(layout.nouns) + 1, len(earlier.nouns) + 1)
    pairs = layout.labels.astype(np.int64) * size[1] + earlier.labels
    shared = np.bincount(pairs.ravel(), minlength=size[0] * size[1]).reshape(size)
    alike = np.array((-1, *layout.nouns))[:, None] == np.array((-2, *earlier.nouns))
    return np.where(alike, shared, 0)


def _present(layout: Layout) -> list[int]:
    """Labels that cover a patch, rising."""
    return [int(label) for label in np.unique(layout.labels) if label > 0]

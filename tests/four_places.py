"""Layouts with instances in some of four places, side by side and the same in every frame."""

import numpy as np

from numina.layout import Layout

FRAMES, ROWS, COLUMNS = 3, 8, 24
A, B, C, D = (np.s_[:, 2:4, left : left + 3] for left in (1, 7, 13, 19))


def layout(*places, nouns=None):
    """An instance in each of ``places``, labelled 1, 2, …; None leaves out a label."""
    labels = np.zeros((FRAMES, ROWS, COLUMNS), np.int16)
    for label, place in enumerate(places, 1):
        if place is not None:
            labels[place] = label
    return Layout(labels, nouns or (0,) * len(places))

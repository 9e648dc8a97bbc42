"""Draws how well instances are identified against the noise level at which they are looked at."""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from benchmarks.identification_tables import TITLES
from numina.errors import OutputError
from numina.evaluation.results import SUMMARY, read_json

# Ours coloured, rivals grey.
COLOURS = {
    "robust": "#1f5fbf",
    "robust-verdict": "#0f3f8a",
    "robust-attention": "#d9822b",
    "paper": "#b8bcc4",
    "paper-scaled": "#8a909c",
}
# Figure, its interval, what it is, and what is asked of it.
PANELS = (
    ("count_acc", "count_ci95", "nouns counted as in the finished clip", 0.85),
    ("f1", "f1_ci95", "F1 of the instances", 0.8),
)


def write_plot(folder: Path, picture: Path) -> None:
    """Draw the summary of a folder to an SVG, the same bytes for the same summary.

    Raises:
        OutputError: If there is no summary in it.
    """
    if not (folder / SUMMARY).exists():
        raise OutputError(f"{folder} has no {SUMMARY}; read noise levels into it first")
    figure = draw(read_json(folder / SUMMARY)["readers"])
    with plt.rc_context({"svg.hashsalt": "numina"}):
        figure.savefig(picture, metadata={"Date": None})
    plt.close(figure)


def draw(readers: dict[str, list[dict[str, Any]]]) -> plt.Figure:
    """One panel for each figure, one line with its interval for each reader."""
    figure, panels = plt.subplots(1, len(PANELS), figsize=(11, 4.2), sharey=True)
    for panel, (key, interval, title, wanted) in zip(panels, PANELS, strict=True):
        for name, looks in readers.items():
            _line(panel, name, looks, key, interval)
        panel.axhline(wanted, color="#8a909c", linewidth=0.7, linestyle=":", zorder=0)
        panel.set_title(title, fontsize=10)
        panel.set_xlabel("noise level of the look")
        panel.spines[["top", "right"]].set_visible(False)
    # A run goes from noise to clip, and so does the eye. The panels have axes of their own.
    for panel in panels:
        panel.invert_xaxis()
    panels[0].set_ylim(0, 1)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=3, frameon=False, fontsize=8.5)
    figure.tight_layout(rect=(0, 0.13, 1, 1))
    return figure


def _line(panel: Axes, name: str, looks: list[dict[str, Any]], key: str, interval: str) -> None:
    noises = [look["noise"] for look in looks]
    lows, highs = zip(*(look[interval] for look in looks), strict=True)
    colour = COLOURS.get(name)
    panel.plot(noises, [look[key] for look in looks], ".-", color=colour, label=TITLES.get(name))
    panel.fill_between(noises, lows, highs, color=colour, alpha=0.12, linewidth=0)

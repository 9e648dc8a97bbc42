"""Draws the plot of the CPU kernels from a result file: ``python benchmarks/plots.py``.

Writes ``docs/kernels-cpu.svg``: medians of every provider relative to torch's attention with a
dense bias, in the same run.
"""

import statistics
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from benchmarks.kernel_tables import of_wan, read

ROOT = Path(__file__).parents[1]
RESULTS = Path("benchmarks/results/cpu/kernels-second.json")
PICTURE = Path("docs/kernels-cpu.svg")
BASE = "sdpa dense bias"
# Provider, its name for a reader, colour: torch grey, ours coloured, C++ dark and eager light.
PROVIDERS = (
    ("sdpa", "torch, no bias", "#b8bcc4"),
    (BASE, "torch, dense bias", "#8a909c"),
    ("cpu biased", "numina C++, layout bias", "#1f5fbf"),
    ("cpu biased and probs", "numina C++, layout bias and statistics", "#0f3f8a"),
    ("eager biased and probs", "numina without C++, the same", "#8fb6ea"),
    ("cpu folded and probs", "numina C++, the same, padding folded", "#d9822b"),
)


def draw(columns: list[dict[str, Any]]) -> plt.Figure:
    """One panel for each dtype, one group of bars for each number of queries."""
    dtypes = list(dict.fromkeys(column["dtype"] for column in columns))
    figure, panels = plt.subplots(1, len(dtypes), figsize=(13, 4.2), sharey=True, squeeze=False)
    for panel, dtype in zip(panels[0], dtypes, strict=True):
        _bars(panel, [column for column in columns if column["dtype"] == dtype])
        panel.set_title(dtype, fontsize=10)
    panels[0][0].set_ylabel("time / torch with a dense bias")
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=3, frameon=False, fontsize=8.5)
    figure.tight_layout(rect=(0, 0.13, 1, 1))
    return figure


def _bars(panel: Axes, columns: list[dict[str, Any]]) -> None:
    width = 0.8 / len(PROVIDERS)
    for place, (name, label, colour) in enumerate(PROVIDERS):
        ratios = [_median(column, name) / _median(column, BASE) for column in columns]
        centres = [group + (place + 0.5) * width - 0.4 for group in range(len(columns))]
        bars = panel.bar(centres, ratios, width * 0.92, label=label, color=colour)
        panel.bar_label(bars, fmt="%.2f", fontsize=6.5, padding=1.5)
    panel.axhline(1.0, color="#8a909c", linewidth=0.7, zorder=0)
    panel.set_xticks(range(len(columns)), [f"{c['queries']:,} queries" for c in columns])
    panel.spines[["top", "right"]].set_visible(False)


def _median(column: dict[str, Any], name: str) -> float:
    return statistics.median(column["rows"][name]["seconds"])


def main() -> None:
    columns = of_wan(read(ROOT / RESULTS)["results"])
    plt.rcParams["svg.hashsalt"] = "numina"
    (ROOT / PICTURE).parent.mkdir(exist_ok=True)
    draw(columns).savefig(ROOT / PICTURE, metadata={"Date": None})


if __name__ == "__main__":
    main()

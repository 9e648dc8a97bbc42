"""What is identified at each noise level of plain runs: ``python benchmarks/identification.py``.

``--out FOLDER`` gets a line per clip and a summary, read by the kinds ``noise-levels``,
``noise-levels-counts``, ``noise-levels-confusion`` and ``noise-levels-agreement`` of
``benchmarks/tables.py``. ``--plot SVG`` draws the summary that is in the folder and runs nothing.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.identification_plot import write_plot
from benchmarks.identification_tables import noise_levels_table
from numina.evaluation.identification import LEVELS
from numina.evaluation.noise_levels import read_noise_levels
from numina.evaluation.suites import REPORTING_SEED, SpritesSuite


def main(arguments: Sequence[str] | None = None) -> int:
    """Read, or draw what was read."""
    parser = argparse.ArgumentParser(description="Identification against the noise level.")
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument(
        "--plot", type=Path, help="draw the summary there to this file; run nothing"
    )
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--seed", type=int, default=REPORTING_SEED)
    parser.add_argument("--levels", type=float, nargs="+", default=LEVELS, metavar="LEVEL")
    parser.add_argument("--model", type=Path, help="folder of the pipeline; default: as shipped")
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args(arguments)
    if options.plot is not None:
        write_plot(options.out, options.plot)
        return 0
    suite = SpritesSuite(options.seed, options.model)
    summary = read_noise_levels(
        suite, options.prompts, options.out, options.workers, options.levels
    )
    print("\n".join(noise_levels_table(summary)))
    return 0


if __name__ == "__main__":
    sys.exit(main())

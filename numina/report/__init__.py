"""The report of a run: what was asked, what was drawn, what was done about it."""

from numina.report.files import file_names, space_needed, write_report
from numina.report.story import Frames, RunStory, Tally, TargetTally
from numina.report.verdict import Verdict, judge

__all__ = [
    "Frames",
    "RunStory",
    "Tally",
    "TargetTally",
    "Verdict",
    "file_names",
    "judge",
    "space_needed",
    "write_report",
]

"""The report of an evaluation: one page of figures, plots and instructive cases."""

from numina.evaluation.report.findings import Findings, read_findings
from numina.evaluation.report.page import PAGE, render_page, write_page
from numina.evaluation.report.strips import keep_strips

__all__ = ["PAGE", "Findings", "keep_strips", "read_findings", "render_page", "write_page"]

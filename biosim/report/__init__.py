"""Figures of a run, and one self-contained HTML page that shows them."""

from biosim.report.figures import FIGURE_MAKERS, make_figures
from biosim.report.page import write_report

__all__ = ["FIGURE_MAKERS", "make_figures", "write_report"]

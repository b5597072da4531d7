"""Figures of a run, and one self-contained HTML page that shows them."""

from biosim.report.figures import FIGURE_MAKERS, make_figures
from biosim.report.page import summary, table_rows, write_report
from biosim.report.parts import verdict

__all__ = ["FIGURE_MAKERS", "make_figures", "summary", "table_rows", "verdict", "write_report"]

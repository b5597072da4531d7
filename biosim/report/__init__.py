"""Figures of a run, and one self-contained HTML page that shows them."""

from biosim.report.page import summary, table_rows, write_report
from biosim.report.parts import verdict

__all__ = ["summary", "table_rows", "verdict", "write_report"]

"""Sphinx configuration; ``make docs`` builds the pages into ``build/docs``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

DOCS = Path(__file__).parent
sys.path[:0] = [str(DOCS.parent), str(DOCS)]
os.environ.setdefault("COLUMNS", "100")

import generate  # noqa: E402 (found in this folder)

import biosim  # noqa: E402

generate.write(DOCS / "generated")

project = "biosim"
author = "The biosim founders"
project_copyright = author
release = version = biosim.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "numpydoc",
    "sphinx_design",
    "sphinx_copybutton",
]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["examples/*"]
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
nitpicky = True
nitpick_ignore_regex = [  # parts of biosim that docstrings name and these pages do not describe
    ("py:mod", r"biosim\.((substrates|drives|torch_bridge|processes)\..+|processes)"),
    ("py:class", r"biosim\.wiring\.packed\.Packed|biosim\.substrates\.brian\.equations\.BrianRule"),
    ("py:(meth|obj|func)", "pack|weight|assist"),
]
highlight_language = "none"
pygments_style = "default"

autodoc_member_order = "bysource"
autodoc_typehints = "none"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
numpydoc_xref_param_type = False

html_theme = "pydata_sphinx_theme"
html_title = "biosim"
html_static_path = ["_static"]
html_css_files = ["biosim.css"]
html_theme_options = {
    "navbar_align": "left",
    "navbar_persistent": ["search-button"],
    "show_prev_next": False,
    "show_nav_level": 1,
    "show_toc_level": 2,
    "header_links_before_dropdown": 6,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
html_sidebars = {"index": [], "start": [], "generated/gallery": []}
html_context = {"default_mode": "auto"}
html_show_sourcelink = False
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

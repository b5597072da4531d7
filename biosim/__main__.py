"""``python -m biosim``."""

from biosim.cli import main

main()

"""The run directory: what lies in it, written whole or not at all, sealed, locked, and taken up again after a kill."""

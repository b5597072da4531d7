"""Networks that scenarios can name: one file each, with a ``build`` function."""

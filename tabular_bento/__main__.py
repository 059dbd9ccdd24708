"""`python -m tabular_bento`: the same as `tabular-bento`, where the library is a folder and not installed."""

from tabular_bento.cli import program

program()

"""The whole way in one go, on three months of real flights: `make demo` makes the environment and runs this.

It is `tabular-bento demo` with other defaults; `python demo.py --help` lists its options.
"""

from __future__ import annotations

import sys

from tabular_bento.cli import main

MONTHS = "2013-07:2013-09"
FLIGHTS = "6000"

if __name__ == "__main__":
    sys.exit(main(["demo", "--months", MONTHS, "--rows", FLIGHTS, *sys.argv[1:]]))

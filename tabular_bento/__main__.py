"""`python -m tabular_bento`: the same as `tabular-bento`, where the library is a folder and not installed."""

import sys

from tabular_bento.cli import main

sys.exit(main())

"""`python -m monitoring`: the commands of `tabular-bento` that look at traffic."""

import sys

from tabular_bento.cli import monitoring_main

sys.exit(monitoring_main())

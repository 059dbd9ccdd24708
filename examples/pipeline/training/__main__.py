"""`python -m training`: the commands of `tabular-bento` that make models and say which one serves."""

import sys

from tabular_bento.cli import training_main

sys.exit(training_main())

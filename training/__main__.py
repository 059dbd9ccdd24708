"""`python -m training`: trains a model; with the name of a command releases, rolls back or lists the champions."""

import sys

from tabular_bento.cli import training_main

sys.exit(training_main())

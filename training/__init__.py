"""Fits and saves a model package: `python -m training`."""

import os

# OpenMP's threads wait in a loop by default, which makes a fit on busy cores several times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

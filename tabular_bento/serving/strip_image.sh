#!/bin/sh
# The last step of the image's installation: take out what installed, so that the image holds only what serves.
set -eu
base=$(readlink -f /app/.venv/bin/python)
pip uninstall --yes --quiet --root-user-action=ignore uv
rm -r /root/.config/uv
"$base" -c 'import pathlib, pip, shutil; shutil.rmtree(pathlib.Path(pip.__file__).parent)'
rm -f /usr/bin/pip* /usr/local/bin/pip*

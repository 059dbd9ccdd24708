#!/bin/sh
# A program by its path, or a module of the project: `data seal --dir /traffic`, `/srv/drift.sh "7 days ago" /drift`.
set -eu
mkdir -p "$BENTOML_HOME"
[ -e "$BENTOML_HOME/models" ] || ln -s /opt/models "$BENTOML_HOME/models"
case "$1" in
  /*) exec "$@" ;;
  *) exec python -m "$@" ;;
esac

#!/bin/sh
# Runs a program by its path, or a command of tabular-bento:
# `/srv/drift.sh "7 days ago" /drift`, `log seal --dir /traffic`.
set -eu
mkdir -p "$BENTOML_HOME"
[ -e "$BENTOML_HOME/models" ] || ln -s /opt/models "$BENTOML_HOME/models"
case "$1" in
  /*) exec "$@" ;;
  *) exec tabular-bento "$@" ;;
esac

#!/bin/sh
# drift.sh SINCE DIR: report the drift since SINCE, as `date -d` reads it ("7 days ago"), into a folder of DIR by date.
# Exit code 0: there is a verdict, whichever; the file TABULAR_BENTO_DRIFT_TEXTFILE holds it, and Prometheus alerts.
# Any other: there is none, for instance because a setting is wrong. Reports older than 90 days are removed.
set -u
textfile=${TABULAR_BENTO_DRIFT_TEXTFILE:-}
now=$(date -u +%Y-%m-%dT%H:%M:%S)
[ -z "$textfile" ] || mkdir -p "$(dirname "$textfile")"
[ ! -d "$2" ] || find "$2" -mindepth 1 -maxdepth 1 -type d -name '20??-??-??' -mtime +90 -exec rm -r {} +
out="$2/${now%T*}"
started=$(mktemp)
trap 'rm -f "$started"' EXIT
tabular-bento drift --from "$(date -u -d "$1" +%Y-%m-%dT%H:%M:%S)" --to "$now" --out "$out"
code=$?
[ "$code" -le 2 ] || exit "$code"
[ -n "$(find "$out" -name result.json -newer "$started" 2>/dev/null)" ] || exit 3

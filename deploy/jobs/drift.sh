#!/bin/sh
# drift.sh SINCE DIR: report the drift since SINCE, as `date -d` reads it ("7 days ago"), into a folder of DIR by date.
# Any verdict is a job well done, with exit code 0: DRIFT_TEXTFILE says which, and Prometheus tells. No verdict, as where
# a setting is wrong, is a job that failed. Reports of more than 90 days ago are removed.
set -u
now=$(date -u +%Y-%m-%dT%H:%M:%S)
[ -z "${DRIFT_TEXTFILE:-}" ] || mkdir -p "$(dirname "$DRIFT_TEXTFILE")"
[ ! -d "$2" ] || find "$2" -mindepth 1 -maxdepth 1 -type d -name '20??-??-??' -mtime +90 -exec rm -r {} +
out="$2/${now%T*}"
started=$(mktemp)
trap 'rm -f "$started"' EXIT
python -m monitoring drift --from "$(date -u -d "$1" +%Y-%m-%dT%H:%M:%S)" --to "$now" --out "$out"
code=$?
[ "$code" -le 2 ] || exit "$code"
[ -n "$(find "$out" -name result.json -newer "$started" 2>/dev/null)" ] || exit 3

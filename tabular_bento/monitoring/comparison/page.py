"""The page for people, `compare.html`: the verdict, then pictures, then numbers. Self-contained, without a script."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape

from tabular_bento.monitoring.comparison import charts
from tabular_bento.monitoring.comparison.predictions import PairedPredictions
from tabular_bento.monitoring.comparison.result import Agreement, ComparedModel, CompareResult, Mode, Verdict, WorstRow
from tabular_bento.monitoring.comparison.svg import BAD, BASELINE, CANDIDATE, GOOD, GRID, INK, MUTED, UNSURE

_HEADLINES: dict[tuple[Mode, Verdict], str] = {
    ("equivalent", "accepted"): "Equivalent",
    ("equivalent", "refused"): "Not equivalent",
    ("not_worse", "accepted"): "Not worse",
    ("not_worse", "refused"): "Refused",
}
_COLOURS: dict[Verdict, str] = {"accepted": GOOD, "refused": BAD, "cannot_tell": UNSURE}

_STYLE = f"""
body {{ font: 15px/1.5 system-ui, sans-serif; color: {INK}; background: #fff; max-width: 1160px; margin: 0 auto;
  padding: 24px; }}
h1 {{ color: #fff; font-size: 26px; margin: 0; padding: 14px 20px; border-radius: 8px; }}
h1 small {{ display: block; font-size: 15px; font-weight: 400; }}
h2 {{ font-size: 18px; margin: 28px 0 6px; }}
svg {{ width: 100%; height: auto; display: block; font: 12px system-ui, sans-serif; }}
table {{ border-collapse: collapse; width: 100%; font-size: 14px; }}
td, th {{ text-align: left; padding: 3px 10px 3px 0; border-bottom: 1px solid {GRID}; vertical-align: top; }}
.n {{ text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }}
.two {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(440px, 1fr)); gap: 8px 32px;
  align-items: start; }}
.muted {{ color: {MUTED}; }} .refused {{ color: {BAD}; }} .cannot_tell {{ color: {UNSURE}; }}
.lead {{ font-size: 16px; padding-left: 20px; }} p {{ margin: 6px 0; }} code {{ font-size: 13px; }}
.key {{ display: inline-block; width: 18px; height: 4px; vertical-align: middle; margin: 0 5px 0 12px; }}
details {{ margin: 6px 0; }} summary {{ cursor: pointer; }}
"""
_FEW_ULPS = 1_000_000


def page(result: CompareResult, paired: PairedPredictions) -> str:
    """The whole page; without rows, when nothing was compared, the verdict alone."""
    headline = _HEADLINES.get((result.mode, result.verdict), "Cannot tell")
    names = f"{_named(result.candidate)} against {_named(result.baseline)}"
    body = [
        f'<h1 style="background:{_COLOURS[result.verdict]}">{headline}<small>{escape(names)}</small></h1>',
        f'<ul class="lead {result.verdict}">{"".join(f"<li>{escape(reason)}</li>" for reason in result.reasons)}</ul>',
        f'<p class="muted">{escape(_what(result))}</p>',
    ]
    if len(paired):
        body += _pictures(result, paired)
    body += [_worst(result), _numbers(result), _about(result)]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="UTF-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1.0">'
        f"<title>{escape(headline)}: {escape(names)}</title><style>{_STYLE}</style></head>\n<body>\n"
        + "\n".join(part for part in body if part)
        + "\n</body>\n</html>\n"
    )


def _pictures(result: CompareResult, paired: PairedPredictions) -> list[str]:
    errors = [
        _figure("Is it worse?", charts.metrics(result.metrics, result.unit)),
        _figure("What does it cost?", charts.cost(result)),
    ]
    predictions = [
        _figure("Predictions, both", charts.scatter(paired, result.unit)),
        _figure("How far predictions moved", charts.moves(paired, float(result.settings["moved_by"]), result.unit)),
    ]
    key = (
        f'<span class="key" style="background:{BASELINE}"></span>baseline'
        f'<span class="key" style="background:{CANDIDATE}"></span>candidate'
    )
    forest = "Who would pay for it?"
    note = (
        '<p class="muted">Intervals hold for all segments together; green is within what is allowed, red is a loss.</p>'
    )
    drawn = charts.segments(result.segments, result.unit)
    grid = [f'<div class="two">{"".join(part)}</div>' for part in (errors, predictions) if any(part)]
    if result.mode == "equivalent":
        grid.reverse()
    return [
        *grid,
        _figure(forest, note + drawn) if drawn else "",
        _figure(f"Day by day {key}", charts.daily(result.days, result.unit)),
    ]


def _figure(title: str, drawn: str) -> str:
    return f"<section><h2>{title}</h2>{drawn}</section>" if drawn else ""


def _named(model: ComparedModel) -> str:
    return model.name if model.model in (None, model.name) else f"{model.name} ({model.model})"


def _what(result: CompareResult) -> str:
    rows, source = result.rows, result.source
    when = f", {source.first:%Y-%m-%d} to {source.last:%Y-%m-%d}" if source.first and source.last else ""
    where = f" on {rows.days:,} days" if source.first else ""
    counts = f"{rows.compared:,} rows, {rows.labels:,} of them with a label{where}"
    return f"{counts}; {source.where}{when}."


def _worst(result: CompareResult) -> str:
    if result.agreement is None or not result.agreement.worst:
        return ""
    rows = [
        [worst.row, f"{worst.baseline:.6g}", f"{worst.candidate:.6g}", f"{worst.delta:+.3g}", _plain(worst.fields)]
        for worst in result.agreement.worst
    ]
    table = _table(("row", "baseline", "candidate", "delta", "fields"), rows, (1, 2, 3))
    opened = " open" if result.mode == "equivalent" else ""
    return (
        f"<h2>Rows that differ most</h2><details{opened}><summary>{len(rows)} rows</summary>{table}"
        f"{''.join(_features(worst) for worst in result.agreement.worst)}</details>"
    )


def _features(worst: WorstRow) -> str:
    if worst.features is None:
        return ""
    unlike = f" Features that the two have unlike: {', '.join(worst.features_differ)}." if worst.features_differ else ""
    return f'<p class="muted">{escape(worst.row)}: <code>{escape(_plain(worst.features))}</code>{escape(unlike)}</p>'


def _numbers(result: CompareResult) -> str:
    parts = []
    if result.agreement is not None:
        found, unit = result.agreement, f" {escape(result.unit)}" if result.unit else ""
        parts.append(
            f"<p>{found.rows_differing:,} of {result.rows.compared:,} predictions differ in any bit, "
            f"{found.rows_beyond:,} by more than the tolerance, {found.moved:,} ({found.moved_share:.2%}) by more "
            f"than {result.settings['moved_by']:g}{unit}. The largest difference is {found.largest:.6g}"
            f"{unit}{_ulps(found)}, the mean {found.mean:+.4g}.</p>"
        )
    if result.metrics:
        rows = [
            [
                metric.name.upper(),
                f"{metric.baseline:.3f}",
                f"{metric.candidate:.3f}",
                f"{metric.delta:+.3f}",
                _interval(metric.interval),
                f"{metric.margin:.3f}",
                metric.status.replace("_", " "),
            ]
            for metric in result.metrics
        ]
        head = ("", "baseline", "candidate", "delta", "interval", "allowed", "status")
        parts.append(_table(head, rows, (1, 2, 3, 4, 5)))
    if result.segments:
        rows = [
            [
                f"{part.field} {part.value}",
                f"{part.labels:,}",
                f"{part.rmse.baseline:.2f}",
                f"{part.rmse.delta:+.3f}",
                _interval(part.rmse.interval),
                f"{part.mae.delta:+.3f}",
                _interval(part.mae.interval),
                part.status.replace("_", " "),
            ]
            for part in result.segments
        ]
        columns = ("segment", "labels", "RMSE", "RMSE delta", "interval", "MAE delta", "interval", "status")
        parts.append(f"<details><summary>By segment</summary>{_table(columns, rows, range(1, 7))}</details>")
    return f"<h2>Numbers</h2>{''.join(parts)}" if parts else ""


def _ulps(found: Agreement) -> str:
    """Units in the last place say something where there are few of them."""
    few = 0 < found.largest_ulps < _FEW_ULPS
    return f" ({found.largest_ulps:,} units in the last place)" if few else ""


def _about(result: CompareResult) -> str:
    notes = "".join(f"<p>{escape(note)}</p>" for note in result.notes)
    left_out = ", ".join(f"{count:,} {why}" for why, count in result.rows.left_out.items())
    models = [
        [role, _named(model), model.kind, (model.fingerprint or "")[:12], model.trained_at or ""]
        for role, model in (("baseline", result.baseline), ("candidate", result.candidate))
    ]
    table = _table(("", "model", "from", "fingerprint", "trained"), models, ())
    out = f"<p>Left out: {escape(left_out)}.</p>" if left_out else ""
    return f'<h2>About</h2>{notes}{out}{table}<p class="muted">Made {result.made_at:%Y-%m-%d %H:%M} UTC.</p>'


def _interval(bounds: tuple[float, float] | None) -> str:
    return f"{bounds[0]:+.3f} to {bounds[1]:+.3f}" if bounds else ""


def _plain(values: Mapping[str, object]) -> str:
    return ", ".join(
        f"{name} {value:.6g}" if isinstance(value, float) else f"{name} {value}" for name, value in values.items()
    )


def _table(head: Iterable[str], rows: Iterable[list[str]], numbers: Iterable[int]) -> str:
    right = set(numbers)

    def cells(tag: str, values: Iterable[str]) -> str:
        return "".join(
            f"<{tag}{' class=n' if place in right else ''}>{escape(value)}</{tag}>"
            for place, value in enumerate(values)
        )

    lines = (f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f"<table><tr>{cells('th', head)}</tr>{''.join(lines)}</table>"

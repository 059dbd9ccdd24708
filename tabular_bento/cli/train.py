"""python -m training, without a command: train on the source's months, measure, and save what passes the gate."""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from tabular_bento.errors import ConfigError, DataError, GateError, ScoringError, TrainingError
from tabular_bento.scoring.runners import KINDS
from tabular_bento.training.config import DEFAULT_FILE

if TYPE_CHECKING:
    from tabular_bento.evaluation.metrics import RegressionMetrics
    from tabular_bento.training.pipeline import TrainedModel


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of training."""
    parser.add_argument("--config", type=Path, metavar="FILE", help=f"settings in TOML (defaults: {DEFAULT_FILE.name})")
    parser.add_argument("--source", metavar="URI", help="where the tables are: a folder, s3://..., gs://...")
    parser.add_argument("--runner", choices=sorted(KINDS), help="the kind of model (default: xgboost)")
    parser.add_argument("--seed", type=int, help="the same seed, data and machine give the same model, byte for byte")
    parser.add_argument("--json", action="store_true", help="end with one JSON object on the last line")


def train_and_save(options: argparse.Namespace) -> int:
    """Train as the options say, print what came of it, and return the exit code."""
    from tqdm import tqdm

    from tabular_bento.training.config import load_config
    from tabular_bento.training.pipeline import train

    overrides = {
        name: getattr(options, name) for name in ("source", "runner", "seed") if getattr(options, name) is not None
    }
    bar = tqdm(total=6, desc="training", disable=not sys.stderr.isatty(), bar_format="{desc:<40} {bar} {elapsed}")

    def step(what: str) -> None:
        bar.set_description(what)
        bar.update()

    try:
        model = train(load_config(options.config, **overrides), step)
        step("writing the package")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from tabular_bento.training.publish import publish

            tag, fingerprint = publish(model)
        bar.update()
    except ConfigError as error:
        return _fail(error, 2)
    except GateError as error:
        return _fail(error, 1)
    except (TrainingError, DataError, ScoringError) as error:
        return _fail(error, 3)
    finally:
        bar.close()

    print(_table(model))
    for warning in model.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    print(f"saved {tag}")
    if options.json:
        document = model.document()
        print(
            json.dumps(
                {
                    "tag": tag,
                    "fingerprint": fingerprint,
                    "metrics": document["metrics"],
                    "baselines": document["baselines"],
                    "data_fingerprint": model.flights.fingerprint,
                }
            )
        )
    return 0


def _table(model: TrainedModel) -> str:
    lines = [f"{'':<24}{'RMSE':>8}{'95 % interval':>18}{'MAE':>8}{'R2':>8}{'bias':>8}{'within 15':>11}"]
    for part in model.metrics:
        lines.append(f"{part}, {model.metrics[part].n:,} flights")
        lines += [
            _line(name, metrics)
            for name, metrics in [
                ("model", model.metrics[part]),
                *((name.replace("_", " "), parts[part]) for name, parts in model.baselines.items()),
            ]
        ]
    return "\n".join(lines)


def _line(name: str, metrics: RegressionMetrics) -> str:
    interval = "{:.2f} to {:.2f}".format(*metrics.rmse_interval) if metrics.rmse_interval else "-"
    return (
        f"  {name:<22}{metrics.rmse:>8.2f}{interval:>18}{metrics.mae:>8.2f}{metrics.r2:>8.3f}"
        f"{metrics.bias:>+8.2f}{metrics.within_15:>11.1%}"
    )


def _fail(error: Exception, code: int) -> int:
    print(f"training: {error}", file=sys.stderr)
    return code

"""`tabular-bento replay`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tabular_bento.cli.common import FAILED, WRONG_ARGUMENTS, Json, Sample, fail, load_problem, load_source, project
from tabular_bento.errors import TabularBentoError, UnreachableError

if TYPE_CHECKING:
    from tabular_bento.data.dataset import Dataset

_SEED = 20130101


def replay(
    months: Annotated[
        str | None,
        typer.Option(
            metavar="FIRST:LAST",
            help="Months of the event time to send, such as 2025-07:2025-09, or one; by default the test part.",
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Send the first N rows only; by default all.")
    ] = None,
    sample: Sample = None,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Seed of --sample.")] = _SEED,
    part: Annotated[
        str | None,
        typer.Option(
            metavar="K/N", help="Send every N-th of those rows, from the K-th on, such as 1/3; by default all."
        ),
    ] = None,
    rate: Annotated[
        float | None, typer.Option(metavar="ROWS/S", help="Most rows a second; by default as many as the server takes.")
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, metavar="N", help="Requests at a time.")] = 8,
    rows_per_request: Annotated[int, typer.Option(min=1, metavar="N", help="Rows in one request.")] = 50,
    protocol: Annotated[
        str,
        typer.Option(
            metavar="PROTOCOL",
            help="json (POST /predict), or of the Open Inference Protocol rest, rest-binary, grpc or grpc-stream.",
        ),
    ] = "json",
    url: Annotated[str, typer.Option(metavar="URL", help="Address of the server.")] = "http://127.0.0.1:3000",
    grpc: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Address of its gRPC; by default the host of --url and TABULAR_BENTO_GRPC_PORT, 3001.",
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            metavar="URI",
            help="Folder, file or database for the project's source to read in place of its own; without a password.",
        ),
    ] = None,
    feedback: Annotated[bool, typer.Option("--feedback/--no-feedback", help="Send the labels too.")] = True,
    as_json: Json = False,
) -> None:
    """Send past rows to a running server as if they were live, then their labels.

    Rows are sent in the order of their event time, else in that of the data. Labels go to POST /feedback. A request
    that an overloaded server refuses is sent again. Every row is either served or counted as an error.

    Exit codes: 0 all rows were served; 1 some were not; 2 wrong arguments, or months without rows; 3 the server does
    not respond.

    Examples:
      tabular-bento replay --months 2025-07:2025-09 --sample 6000
      tabular-bento replay --months 2025-07 --protocol grpc --part 1/3
    """
    from tabular_bento.monitoring.files import settings_of
    from tabular_bento.monitoring.replay import ReplayConfig
    from tabular_bento.monitoring.replay import replay as run

    if limit is not None and sample is not None:
        raise fail("--limit and --sample exclude each other", WRONG_ARGUMENTS)
    given = {
        "months": months,
        "limit": limit,
        "sample": sample,
        "seed": seed,
        "part": part,
        "rate": rate,
        "concurrency": concurrency,
        "rows_per_request": rows_per_request,
        "protocol": protocol,
        "url": url,
        "grpc": grpc,
        "feedback": feedback,
    }
    try:
        config = settings_of(ReplayConfig, given)
        result = run(load_problem(), _dataset(source, split=months is None), config)
    except UnreachableError as error:
        raise fail(error, FAILED) from error
    except TabularBentoError as error:
        raise fail(error, WRONG_ARGUMENTS) from error
    print(result.table())
    if as_json:
        print(result.model_dump_json())
    raise typer.Exit(0 if result.complete else 1)


def _dataset(source: str | None, split: bool) -> Dataset:
    """The project's rows, split as for training where a part of them is sent."""
    from tabular_bento.training.config import load_config

    path: Path | None = project().training
    config = load_config(path) if path is not None and (split or source is None) else None
    dataset: Dataset = load_source().load(source or (config.source if config else None))
    return dataset.split(config.split) if split and config else dataset

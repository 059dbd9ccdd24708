"""The command `python -m monitoring replay`."""

from __future__ import annotations

import argparse

from pydantic import ValidationError

from tabular_bento.errors import DataError, MonitoringError, UnreachableError
from tabular_bento.monitoring.arguments import FAILED, add_command, fail, first_error, positive

_DESCRIPTION = """Send the flights of some months to a running server as if they were live, then what came true of them.

Flights go in the order of scheduled departure, through one door of the server; outcomes go to POST /feedback. What an
overloaded server turns away is tried again. Every flight is either served or counted as an error."""

_EPILOG = """exit code: 0 all flights were served; 1 some were not; 2 wrong arguments, or months without
flights; 3 the server does not answer.

environment: GRPC_PORT, where --grpc is not given.

examples: python -m monitoring replay --months 2013-07:2013-09 --sample 6000
          python -m monitoring replay --months 2013-07 --door grpc --part 1/3"""


def add_replay(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to those of the evaluation layer."""
    command = add_command(
        commands, "replay", "send past flights to a server, and their outcomes", _DESCRIPTION, _EPILOG
    )
    command.add_argument("--months", required=True, metavar="FIRST:LAST", help="such as 2013-07:2013-09, or one month")
    size = command.add_mutually_exclusive_group()
    size.add_argument("--limit", type=positive, metavar="N", help="the first N flights of the months only")
    size.add_argument("--sample", type=positive, metavar="N", help="N flights drawn evenly over the months")
    command.add_argument("--seed", type=int, default=20130101, help="of the sample (default: %(default)s)")
    command.add_argument("--part", metavar="K/N", help="of those, every N-th from the K-th on, such as 1/3")
    command.add_argument("--rate", type=float, metavar="ROWS/S", help="at most this many flights a second")
    command.add_argument("--concurrency", type=positive, default=8, help="requests at a time (default: %(default)s)")
    command.add_argument("--rows-per-request", type=positive, default=50, help="(default: %(default)s)")
    command.add_argument(
        "--door",
        choices=("http", "rest", "grpc"),
        default="http",
        help="POST /predict (default), or the Open Inference Protocol over REST in binary tensors, or over gRPC",
    )
    command.add_argument("--url", default="http://127.0.0.1:3000", help="of the server (default: %(default)s)")
    command.add_argument("--grpc", metavar="HOST:PORT", help="of its gRPC door (default: --url's host, and GRPC_PORT)")
    command.add_argument("--source", metavar="URI", help="where the flights are (default: the packaged snapshot)")
    command.add_argument(
        "--feedback", action=argparse.BooleanOptionalAction, default=True, help="post the outcomes (default: yes)"
    )
    command.add_argument("--json", action="store_true", help="end with one JSON object on the last line")
    command.set_defaults(run=_replay)


def _replay(arguments: argparse.Namespace) -> int:
    from tabular_bento.monitoring.replay.config import ReplayConfig
    from tabular_bento.monitoring.replay.job import replay

    given = {name: value for name, value in vars(arguments).items() if value is not None}
    try:
        config = ReplayConfig(**{name: value for name, value in given.items() if name in ReplayConfig.model_fields})
    except ValidationError as error:
        return fail(first_error(error, given), 2)
    try:
        result = replay(config)
    except UnreachableError as error:
        return fail(str(error), FAILED)
    except (MonitoringError, DataError) as error:
        return fail(str(error), 2)
    print(result.table())
    if arguments.json:
        print(result.model_dump_json())
    return 0 if result.complete else 1

"""`python -m tabular_bento.testing smoke`: run an image hardened, and check the parity vectors of its model."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from tabular_bento.errors import ServerError
from tabular_bento.testing.container import RunningImage
from tabular_bento.testing.served import check_served

app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.callback()
def _checks() -> None:
    """Checks of what a project ships."""


@app.command()
def smoke(
    image: Annotated[str, typer.Option(help="The image's name.")],
    engine: Annotated[str, typer.Option(help="podman or docker.")] = "podman",
) -> None:
    """Run an image that can write to /tmp and its traffic log alone; each protocol must return the parity vectors.

    Exit codes: 0 they are equal; 1 they are not, or it does not start or stop; 2 wrong arguments.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="tabular-bento-") as folder, RunningImage(image, engine) as running:
            counts = check_served(running.copy_package(Path(folder)), running.url, running.address)
            code = running.stop()
    except (AssertionError, ServerError) as error:
        print(f"smoke: {error}", file=sys.stderr)
        raise typer.Exit(1) from error
    if code:
        print(f"smoke: the container ended with {code} when it was asked to stop, where 0 is expected", file=sys.stderr)
        raise typer.Exit(1)
    print("; ".join(f"{count} parity vectors equal over {protocol}" for protocol, count in counts.items()))


if __name__ == "__main__":
    app()

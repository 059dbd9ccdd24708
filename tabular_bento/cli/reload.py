"""`tabular-bento reload`."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from tabular_bento.cli.common import Json, fail


def reload(
    port: Annotated[int, typer.Option(envvar="PORT", min=1, max=65_535, help="The server's HTTP port.")] = 3000,
    timeout: Annotated[float, typer.Option(min=0.1, metavar="SECONDS", help="How long to wait for it.")] = 60.0,
    as_json: Json = False,
) -> None:
    """Have the server at a port of this machine take the released model, without losing a request.

    The server is found by its port and sent SIGHUP, which reaches every worker. Each one looks the champion up, loads
    and verifies it beside the one that serves, and switches between two batches. In a container, send the signal to
    process 1: `podman kill -s HUP NAME`.

    Exit codes: 0 the released model serves; 1 a worker refused it and keeps its own, and the server's log says why;
    2 wrong arguments; 3 there is no server at the port, or it does not respond.
    """
    from tabular_bento.serving.reloading import reload_server

    found = reload_server(port, timeout)
    refused = found.statuses.get("refused", 0)
    if as_json:
        print(json.dumps({"pid": found.pid, "model": found.model, "statuses": found.statuses}))
    elif not refused:
        what = "serves now" if found.statuses.get("exchanged") else "is still the model to serve"
        print(f"{found.model} {what} at port {port}.")
    if refused:
        raise fail(f"The server at port {port} goes on with {found.model}; its log says why.", 1)

"""`tabular-bento reload`."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from tabular_bento.cli.common import Json, fail


def reload(
    port: Annotated[
        int, typer.Option(envvar="PORT", metavar="PORT", min=1, max=65_535, help="HTTP port of the server.")
    ] = 3000,
    timeout: Annotated[float, typer.Option(min=0.1, metavar="SECONDS", help="Time to wait for the workers.")] = 60.0,
    as_json: Json = False,
) -> None:
    """Make the server at a port of this machine load the champion, without losing a request.

    The server is found by its port and sent SIGHUP, which reaches every worker. Each worker loads and verifies the
    champion beside the model that it serves, and switches between two batches. For a container, send the signal to
    process 1: `podman kill -s HUP NAME`.

    Exit codes: 0 the champion is served; 1 a worker refused it and keeps its own model, and the server's log says why;
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

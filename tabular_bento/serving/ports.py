"""python -m tabular_bento.serving.ports PORT...: say which port is taken before a server trips over it."""

from __future__ import annotations

import errno
import socket
import sys
from collections.abc import Sequence

_IN_USE = "is in use: stop what listens there"


def why_not(port: int, host: str = "127.0.0.1") -> str | None:
    """Why nothing more can listen on `port` of `host`, to follow its name; None where it can."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return _IN_USE if error.errno == errno.EADDRINUSE else f"cannot be opened at {host}: {error.strerror}"
    return None


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        port: int = probe.getsockname()[1]
        return port


def report_taken(ports: Sequence[str]) -> bool:
    """Print a message for each of `ports` that is none, cannot be had or stands twice, and say whether there is one."""
    faults: dict[str, str] = {}
    for index, port in enumerate(ports):
        if not (port.isascii() and port.isdigit() and int(port) < 2**16):
            faults[port] = "is no port from 0 to 65535: correct it"
        elif int(port) and (fault := _IN_USE if port in ports[:index] else why_not(int(port))):
            faults[port] = fault
    for port, fault in faults.items():
        print(f"Port {port} {fault}, or set PORT or TABULAR_BENTO_GRPC_PORT to another.", file=sys.stderr)
    return bool(faults)


if __name__ == "__main__":
    sys.exit(int(report_taken(sys.argv[1:])))

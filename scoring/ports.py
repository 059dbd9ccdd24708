"""python -m scoring.ports PORT...: say which port is taken before a server trips over it."""

from __future__ import annotations

import errno
import socket
import sys
from collections.abc import Sequence


def is_taken(port: int, host: str = "0.0.0.0") -> bool:  # noqa: S104
    """Whether something listens on `port` already. Raises OSError where nothing can, for another reason."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return True
            raise
    return False


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        port: int = probe.getsockname()[1]
        return port


def tell_taken(ports: Sequence[int]) -> bool:
    """Print a sentence for each of `ports` that cannot be had or stands twice, and say whether there is one."""
    told = False
    for index, port in enumerate(ports):
        try:
            if port and (port in ports[:index] or is_taken(port)):
                fault = "is in use: stop what listens there"
            else:
                continue
        except OSError as error:
            fault = f"cannot be opened: {error.strerror}"
        print(f"Port {port} {fault}, or set PORT or GRPC_PORT to another.", file=sys.stderr)
        told = True
    return told


if __name__ == "__main__":
    sys.exit(int(tell_taken([int(port) for port in sys.argv[1:]])))

"""python -m scoring.ports PORT...: say which port is taken before a server trips over it."""

from __future__ import annotations

import socket
import sys
from collections.abc import Sequence


def is_taken(port: int, host: str = "0.0.0.0") -> bool:  # noqa: S104
    """Whether something listens on `port` already."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return True
    return False


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        port: int = probe.getsockname()[1]
        return port


def tell_taken(ports: Sequence[int]) -> bool:
    """Print a sentence for each of `ports` that is taken or stands twice, and say whether there is one."""
    taken = [port for index, port in enumerate(ports) if port and (port in ports[:index] or is_taken(port))]
    for port in taken:
        print(f"Port {port} is in use: stop what listens there, or set PORT or GRPC_PORT to another.", file=sys.stderr)
    return bool(taken)


if __name__ == "__main__":
    sys.exit(int(tell_taken([int(port) for port in sys.argv[1:]])))

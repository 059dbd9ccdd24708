"""python -m scoring.ports PORT...: say which port is taken before a server trips over it."""

from __future__ import annotations

import socket
import sys


def is_taken(port: int, host: str = "0.0.0.0") -> bool:  # noqa: S104
    """Whether something listens on `port` already."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return True
    return False


def main(arguments: list[str]) -> int:
    """Print a sentence for each port of `arguments` that is taken; 1 if there is one."""
    taken = [port for port in map(int, arguments) if is_taken(port)]
    for port in taken:
        print(f"Port {port} is in use: stop what listens there, or set PORT or GRPC_PORT to another.", file=sys.stderr)
    return 1 if taken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

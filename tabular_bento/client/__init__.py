"""The client of a server: JSON, and the Open Inference Protocol over REST and gRPC.

What a row holds, what a prediction holds and the model's name are read from the server.
"""

from tabular_bento.client.asynchronous import AsyncClient
from tabular_bento.client.calls import grpc_address
from tabular_bento.client.encoding import PROTOCOLS, Interface, Protocol, Rows, rows_of_columns
from tabular_bento.client.synchronous import Client

__all__ = [
    "PROTOCOLS",
    "AsyncClient",
    "Client",
    "Interface",
    "Protocol",
    "Rows",
    "grpc_address",
    "rows_of_columns",
]

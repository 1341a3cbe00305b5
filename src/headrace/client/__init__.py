"""Asks a flow that is served: ``headrace.client``, for programs that neither run flows nor serve them.

::

    from headrace.client import Client

    with Client("http://localhost:8080") as client:
        print(client.score({"question": "Which exit code means that lines failed?"}).outputs)

It knows the endpoints of ``headrace flow serve``, of prompt flow's server and of Azure ML.
"""

from headrace.client.answers import Answer
from headrace.client.async_client import AsyncClient, AsyncStream
from headrace.client.requests import Call, Outcome
from headrace.client.sync_client import Client, Stream

__all__ = ["Answer", "AsyncClient", "AsyncStream", "Call", "Client", "Outcome", "Stream"]

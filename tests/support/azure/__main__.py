"""``python -m tests.support.azure --folder /tmp/x``: serves by hand until it is interrupted.

The first lines are the variables for a shell; then ``curl --proxy $HTTP_PROXY http://stand-in.test/requests`` shows what
was asked, and a POST to ``/faults`` with the settings of a :class:`Fault` as JSON plans what goes wrong.
"""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import sys
import threading
from dataclasses import asdict
from pathlib import Path

from tests.support.azure.messages import Refusal, Request, Response, reply
from tests.support.azure.stand_in import StandIn

CONTROL_HOST = "stand-in.test"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.support.azure", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print the variables as one line of JSON")
    parser.add_argument("--lenient", action="store_true", help="take any API version")
    options = parser.parse_args()
    with StandIn(options.folder, port=options.port, is_strict=not options.lenient) as azure:
        azure.add_host(CONTROL_HOST, lambda request: control(azure, request))
        if options.json:
            print(json.dumps(azure.environment), flush=True)  # noqa: T201
        else:
            lines = [f"export {name}={shlex.quote(value)}" for name, value in azure.environment.items()]
            print("\n".join(lines), flush=True)  # noqa: T201
        # No masks: the servers that are started here would inherit them, and never end.
        ended = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: ended.set())
        ended.wait()


def control(azure: StandIn, request: Request) -> Response:
    """What people, and tests in other processes, do with a stand-in."""
    match request.method, request.path:
        case "GET", "/requests":
            return reply([asdict(item) for item in azure.recording.requests])
        case "GET", "/resources":
            return reply([item.body() for item in azure.resources.all()])
        case "POST", "/faults":
            azure.faults.add(**request.json())
            return reply({}, 201)
        case "DELETE", "/faults":
            azure.faults.clear()
            return Response(status=204)
        case "POST", "/release":
            azure.operations.release()
            return Response(status=204)
    raise Refusal(404, "NotFound", "Ask for /requests, /resources, /faults or /release.")


if __name__ == "__main__":
    sys.exit(main())

"""``python -m tests.bench.judge_service``: judges that grade at once, by a digest of what they are asked."""

from __future__ import annotations

import json
from hashlib import sha256
from itertools import count

from tests.support.model_server import ModelServer, Reply, Request

_ASKED = count()


def grade(request: Request) -> Reply:
    """Mostly the same grade for one answer, sometimes the next one."""
    answer = sha256(json.dumps(request.body["messages"]).encode()).digest()
    is_off = sha256(f"{next(_ASKED)}".encode()).digest()[0] < 40
    said = min(5, 1 + answer[0] % 5 + is_off)
    return Reply(
        text=json.dumps({"grade": said, "reason": "The words fit the reference so far."}), usage=(300, 20)
    )


if __name__ == "__main__":
    server = ModelServer(default=grade, is_recording=False)
    server.run(1_800, on_ready=lambda: print(server.base_url, flush=True))

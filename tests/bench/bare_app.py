"""The work of the served flows and nothing else, on Starlette and uvicorn: ``python bare_app.py PORT MODEL_URL``.

``/render/score`` does what the two-node flow does, ``/call/score`` makes the model call of the one-call flow with the
same template and the same client, and streams it where the request accepts events.
"""

import json
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import jinja2
import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

from headrace.config import load_settings
from headrace.domain.connection import Connection
from headrace.providers.base import ModelRequest
from headrace.providers.registry import open_client

HERE = Path(__file__).parent
PORT, MODEL_URL = int(sys.argv[1]), sys.argv[2]
RENDER = jinja2.Template((HERE / "two_node" / "render.jinja2").read_text())
ASK = jinja2.Template((HERE / "one_call" / "ask.jinja2").read_text().partition("user:\n")[2])
CLIENT = open_client(
    Connection(name="bench", type="open_ai", configs={"base_url": MODEL_URL}),
    lambda *_: None,
    load_settings(),
)


async def render(request):
    given = json.loads(await request.body())
    return JSONResponse({"words": len(RENDER.render(text=given["text"]).split())})


async def call(request):
    given = json.loads(await request.body())
    messages = [
        {"role": "system", "content": "Answer briefly."},
        {"role": "user", "content": ASK.render(text=given["text"])},
    ]
    asked = ModelRequest(operation="chat", model="bench", body={"temperature": 0, "messages": messages})
    if request.headers.get("accept") == "text/event-stream":
        return StreamingResponse(events(asked), media_type="text/event-stream")
    answered = await CLIENT.send(asked)
    return JSONResponse({"answer": answered.body["choices"][0]["message"]["content"]})


async def events(asked):
    async for chunk in CLIENT.stream(asked):
        if chunk.text:
            yield f"data: {json.dumps({'answer': chunk.text})}\n\n"


@asynccontextmanager
async def life(_):
    yield
    await CLIENT.close()


ROUTES = [Route("/render/score", render, methods=["POST"]), Route("/call/score", call, methods=["POST"])]
uvicorn.run(
    Starlette(routes=ROUTES, lifespan=life),
    host="127.0.0.1",
    port=PORT,
    log_level="warning",
    access_log=False,
    backlog=2048,
)

"""``headrace model serve``."""

from __future__ import annotations

import click

from headrace.cli.options import Verb
from headrace.cli.session import Session
from headrace.cli.workspace import command_workspace
from headrace.errors import ExitCode
from headrace.operations.serve_model import serve_model

DEFAULT_MODEL = "baseline"


@click.command(
    "serve",
    cls=Verb,
    examples=(
        ("The embedded reader, for offline work", "headrace model serve"),
        (
            "A configured model on another port",
            "headrace model serve --model my_aoai/gpt-4o-mini --port 9000",
        ),
    ),
)
@click.option(
    "--model",
    default=DEFAULT_MODEL,
    metavar="CONNECTION/MODEL",
    help=f"Which model; default {DEFAULT_MODEL}.",
)
@click.option("--host", default="127.0.0.1", metavar="ADDRESS", help="Where to listen; default 127.0.0.1.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8777, metavar="PORT", help="Default 8777; 0 takes any."
)
@click.pass_obj
def command(session: Session, *, model: str, host: str, port: int) -> int:
    """Serve a model on an OpenAI-compatible address.

    Any program that speaks OpenAI's API can then use it: chat, completions, embeddings,
    streaming. The default model is baseline, the embedded reader; it extracts and copies, it is
    not a language model. Ends with Ctrl-C. Needs the extra serve.
    """

    def on_ready(base_url: str) -> None:
        session.write(render_ready(model, base_url))

    with command_workspace(session) as workspace:
        try:
            serve_model(workspace, model, host, port, on_ready)
        except KeyboardInterrupt:  # the way to stop a server: nothing went wrong
            session.note("\nStopped.")
    return ExitCode.OK


def render_ready(model: str, base_url: str) -> str:
    """Where the model is, and the lines that make stock prompt flow use it."""
    name = model.partition("/")[0]
    return f"""\
{model} answers at {base_url}

For flows that use connection {name} under stock prompt flow: save as {name}.yaml

  name: {name}
  type: open_ai
  api_key: unused
  base_url: {base_url}

and call

  pf connection create --file {name}.yaml
  pf flow test --flow FLOW

Ctrl-C stops the server."""

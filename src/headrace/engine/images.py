"""Images among the inputs of a line, read just before it runs: a batch never holds those of all its lines."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from headrace.domain.flow import FlowInput
from headrace.domain.multimedia import ImageError
from headrace.engine.runtime import PreparedFlow
from headrace.errors import ExecutionError
from headrace.formats.multimedia import image_problem
from headrace.source import Span


async def read_images(flow: PreparedFlow, inputs: Mapping[str, Any], place: Span | None) -> Mapping[str, Any]:
    """The inputs with their images read, in a thread, because files and addresses block.

    Raises:
        ExecutionError: T210 or C509 for the first value that is no image.
    """
    declared = flow.plan.flow.inputs
    names = flow.images.unread_inputs(flow.plan.flow, inputs)
    if not names:
        return inputs
    read = dict(inputs)
    for name in names:
        try:
            read[name] = await flow.threads.run(partial(flow.images.read, inputs[name], declared[name].type))
        except ImageError as error:
            raise _unreadable(flow, declared[name], error, place) from error
    return read


def _unreadable(
    flow: PreparedFlow, declared: FlowInput, error: ImageError, place: Span | None
) -> ExecutionError:
    pointer = ("inputs", declared.name)
    span = place or flow.plan.flow.source_map.span(pointer)
    return ExecutionError(image_problem(error, f"The flow input {declared.name!r}", span, pointer))

"""``trace`` and ``start_trace``: spans for functions of a project."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from typing import Any, TypeVar

from headrace.compat.operation_context import span_attributes
from headrace.compat.script_trace import open_script_span, start_script_trace
from headrace.telemetry.attributes import FUNCTION_NAME
from headrace.telemetry.spans import ActiveSpan
from headrace.tools.base import current_node
from headrace.tools.current_span import parent_span, traced_span

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


def trace(func: FunctionT | None = None) -> Any:
    """Decorate a function so that its calls are spans below the node that calls it.

    Ordinary and asynchronous functions and generators work. Outside a node they run as if undecorated, unless
    ``start_trace`` was called.
    """
    if func is None:
        return trace
    if isinstance(func, type):
        return func  # making an object is no call worth a span, and a class has to stay one
    if inspect.isasyncgenfunction(func):
        return _trace_async_generator(func)
    if inspect.isgeneratorfunction(func):
        return _trace_generator(func)
    if inspect.iscoroutinefunction(func):
        return _trace_coroutine(func)

    @functools.wraps(func)
    def traced(*args: Any, **kwargs: Any) -> Any:
        with _span(func):
            return func(*args, **kwargs)

    return traced


def start_trace(
    *, resource_attributes: Mapping[str, Any] | None = None, collection: str | None = None, **_: Any
) -> None:
    """Trace a script: its traced functions and model calls are sent to the collector that OTEL variables name.

    Inside a node there is nothing to start, because headrace records spans anyway.

    Args:
        resource_attributes: What the first span of every trace carries.
        collection: The same under the name ``collection``.
    """
    if current_node.get() is None:
        start_script_trace(collection, resource_attributes)


class ThreadPoolExecutorWithContext(ThreadPoolExecutor):
    """A thread pool whose functions still belong to the node that submits them."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Schedule ``fn``; see ``concurrent.futures``."""
        return super().submit(copy_context().run, fn, *args, **kwargs)


def _trace_coroutine(func: Callable[..., Any]) -> Any:
    @functools.wraps(func)
    async def traced(*args: Any, **kwargs: Any) -> Any:
        with _span(func):
            return await func(*args, **kwargs)

    return traced


def _trace_generator(func: Callable[..., Any]) -> Any:
    @functools.wraps(func)
    def traced(*args: Any, **kwargs: Any) -> Iterator[Any]:
        with _span(func, is_current=False):
            yield from func(*args, **kwargs)

    return traced


def _trace_async_generator(func: Callable[..., Any]) -> Any:
    @functools.wraps(func)
    async def traced(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        with _span(func, is_current=False):
            async for item in func(*args, **kwargs):
                yield item

    return traced


@contextmanager
def _span(func: Callable[..., Any], *, is_current: bool = True) -> Iterator[None]:
    """A span around a call. A generator's is not current: its consumer runs between its steps."""
    span = _open_span(func)
    if span is None:
        yield
        return
    token = traced_span.set(span) if is_current else None
    try:
        yield
    except BaseException as error:
        if not isinstance(error, GeneratorExit):
            span.fail(type(error).__name__, type(error).__name__)
        raise
    finally:
        if token is not None:
            traced_span.reset(token)
        span.end()


def _open_span(func: Callable[..., Any]) -> ActiveSpan | None:
    attributes = {FUNCTION_NAME: func.__qualname__, **span_attributes()}
    context = current_node.get()
    if context is None:
        return open_script_span(func.__name__, attributes)
    return parent_span(context).child(func.__name__, attributes=attributes)


def is_tracing_disabled() -> bool:
    """False: spans are always recorded."""
    return False


def inject_openai_api() -> None:
    """Accepted and without effect: calls through headrace's own clients are traced anyway."""


def recover_openai_api() -> None:
    """Accepted and without effect, as there is nothing to undo."""


def setup_exporter_from_environ() -> None:
    """As :func:`start_trace`."""
    start_trace()


def enrich_prompt_template(template: str, variables: Mapping[str, Any], span: Any = None) -> None:
    """Accepted and without effect: spans carry no prompts."""
    del template, variables, span

"""Exceptions that projects raise or catch under promptflow's names."""

from __future__ import annotations

from enum import Enum
from typing import Any


class ErrorCategory(str, Enum):  # noqa: UP042 - projects print it, and StrEnum prints differently
    """Whose fault an error is."""

    USER_ERROR = "UserError"
    SYSTEM_ERROR = "SystemError"
    UNKNOWN = "Unknown"


class ErrorTarget(str, Enum):  # noqa: UP042
    """Where an error happened."""

    EXECUTOR = "Executor"
    BATCH = "Batch"
    CORE = "Core"
    FLOW_EXECUTOR = "FlowExecutor"
    NODE_EXECUTOR = "NodeExecutor"
    TOOL = "Tool"
    AZURE_RUN_STORAGE = "AzureRunStorage"
    RUNTIME = "Runtime"
    UNKNOWN = "Unknown"
    RUN_TRACKER = "RunTracker"
    RUN_STORAGE = "RunStorage"
    CONTROL_PLANE_SDK = "ControlPlaneSDK"
    SERVING_APP = "ServingApp"
    FLOW_INVOKER = "FlowInvoker"
    FUNCTION_PATH = "FunctionPath"


class PromptflowException(Exception):  # noqa: N818 - the name that projects know
    """Root of the exceptions.

    Attributes:
        message: What the user is told; made from ``message_format`` where no message is given.
        target: Where it happened.
        module: Module that raised it, if given.
    """

    def __init__(
        self,
        message: str = "",
        message_format: str = "",
        target: ErrorTarget | str = ErrorTarget.UNKNOWN,
        module: str | None = None,
        **details: Any,
    ) -> None:
        text = str(message) or message_format.format(**details) or type(self).__name__
        super().__init__(text)
        self.message = text
        self.message_format = message_format
        self.target = target
        self.module = module
        self._given_cause = details.get("error")

    @property
    def inner_exception(self) -> BaseException | None:
        """The exception behind this one: given as ``error=…`` or by ``raise … from``."""
        return self._given_cause or self.__cause__


class UserErrorException(PromptflowException):
    """The user's input or code is wrong."""


class SystemErrorException(PromptflowException):
    """Something of the system is wrong."""


class ValidationException(UserErrorException):
    """Something given does not fit."""

"""HTTP apps that headrace serves: a flow (``headrace flow serve``) and a model (``headrace model serve``).

The only home of starlette and uvicorn (extra ``serve``), so its modules are reached by name. May import
engine and below, never operations, evaluation or the command line: an image that serves must not pull those
in.
"""

"""HTTP apps that headrace serves: for now the model endpoint of ``headrace model serve``.

The only home of starlette and uvicorn (extra ``serve``), so its modules are reached by name. May import
engine and below, never operations, evaluation or the command line: an image that serves must not pull those
in.
"""

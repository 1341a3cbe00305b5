"""Stands where child processes of a program look for ``promptflow``, and makes room for the names that are served.

A child of another interpreter, which has no headrace, gets the ``promptflow`` of its own.
"""

import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

del sys.modules[__name__]
if find_spec("headrace") is not None:
    import_module("headrace.compat").install()
else:
    sys.path[:] = [place for place in sys.path if place != str(Path(__file__).parents[1])]
import_module(__name__)

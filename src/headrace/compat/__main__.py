"""``python -m headrace.compat script.py``: a user's program with the names of promptflow served."""

import sys

from headrace.compat.program import run_program

run_program(sys.argv[1:])

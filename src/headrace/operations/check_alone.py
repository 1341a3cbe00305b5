"""``python -m headrace.operations.check_alone FLOW``: check one flow in a process of its own.

Loading a flow imports its code, and code may hang, print or end the process. Whoever looks at a whole repository
starts this for each flow and reads the problems, as JSON, from the last line of standard output.
"""

from __future__ import annotations

import json
import sys
from contextlib import redirect_stdout
from pathlib import Path

from headrace.config import load_settings
from headrace.operations.check_flow import check_flow
from headrace.operations.workspace import open_workspace


def main() -> None:
    """Check the flow that the first argument names, in the workspace of the working directory."""
    with redirect_stdout(sys.stderr), open_workspace(load_settings(), Path.cwd()) as workspace:
        problems = check_flow(workspace, Path(sys.argv[1]))
    sys.stdout.write("\n" + json.dumps([problem.to_json() for problem in problems]) + "\n")


if __name__ == "__main__":
    main()

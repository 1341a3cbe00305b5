"""What holds for every test."""

from __future__ import annotations

import os

# Nothing can be kept there: what one test does to a service is not shared with the next one on the same port.
os.environ["XDG_STATE_HOME"] = os.devnull

"""What holds for every test."""

from __future__ import annotations

import gc
import os

# Thousands of tests keep much alive that is never garbage: looking through all of it so often takes a tenth of their time.
gc.set_threshold(50_000, 20, 50)

# Nothing can be kept there: what one test does to a service is not shared with the next one on the same port.
os.environ["XDG_STATE_HOME"] = os.devnull

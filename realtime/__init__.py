"""Capture, turn-taking, memory and sessions; start reading at `session.py`."""

import models as models  # before all else: it says that nothing is reported to anybody

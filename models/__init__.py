"""Audio language models behind one interface; start reading at `base.py`.

Nothing is reported to anybody. ONNX Runtime would note who it runs for from its import on, so it is told not to first.
"""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

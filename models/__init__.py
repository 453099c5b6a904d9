"""Audio language models behind one interface; start reading at `base.py`.

What libraries read from the environment when they are loaded is set here, before any of them is.

Nothing is reported to anybody. ONNX Runtime would note who it runs for from its import on, so it is told not to.
OpenMP's threads, in PyTorch and CTranslate2, would wait for each other by spinning, which takes the cores from whoever
has work to do: beside two busy processes an answer begins several times later. Ours sleep, unless the environment says
otherwise.
"""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

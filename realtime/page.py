"""The page at `/`: Gradio Blocks around the conversation that `page.js` draws from the session's events.

The page is a client like any other: it speaks the protocol of `webrtc.py` and keeps no state on the server.
"""

import json
from collections.abc import Sequence
from contextlib import redirect_stdout
from html import escape
from io import StringIO
from pathlib import Path
from typing import Any

import gradio as gr
from fastapi import FastAPI

from models.types import ModelInfo

_HERE = Path(__file__).parent

MARKUP = """
<div class="earpiece">
  <div class="ep-head"><h1>Earpiece</h1><span class="ep-model" id="ep-model">{model}</span>
    <button id="ep-new">New conversation</button></div>
  <div class="ep-error" id="ep-error" role="alert" hidden></div>
  <div class="ep-log" id="ep-log" role="log" aria-live="polite" aria-label="Conversation">
    <div class="ep-empty">Press <b>Start talking</b> and ask something,<br>or type below.</div></div>
  <div class="ep-status" id="ep-status" data-state="idle"><span class="ep-dot"></span>
    <span id="ep-status-text">Microphone off.</span>
    <span class="ep-meter" aria-hidden="true"><i id="ep-level"></i></span></div>
  <div class="ep-row"><button id="ep-talk" class="primary">Start talking</button>
    <input id="ep-text" placeholder="Or type here" aria-label="Type a message" autocomplete="off">
    <button id="ep-send">Send</button><button id="ep-stop">Stop answer</button></div>
</div>
"""


def mount_page(app: FastAPI, model: ModelInfo, *, ice_servers: Sequence[dict[str, Any]]) -> None:
    """Puts the page at `/`.

    Args:
        app: what else is served.
        model: shown at the top of the page.
        ice_servers: STUN and TURN servers for the browser, as the WebRTC API takes them.
    """
    settings = json.dumps({"iceServers": list(ice_servers)}).replace("</", "<\\/")
    script, css = (_HERE / "page.js").read_text("utf-8"), (_HERE / "page.css").read_text("utf-8")
    head = f"<script>window.earpiece = {settings};</script><script>{script}</script>"
    theme = gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"])  # nothing from other servers
    with gr.Blocks(title="Earpiece", theme=theme, css=css, head=head, analytics_enabled=False) as page:
        gr.HTML(MARKUP.format(model=escape(f"{model.name}: {model.description}")), padding=False)
    with redirect_stdout(StringIO()):  # Gradio 5.50 prints a left-over "new /"
        gr.mount_gradio_app(app, page, path="/", show_api=False)

"""The page at `/`: Gradio Blocks around the conversation that `page.js` draws from the session's events.

The page is a client like any other: it speaks the protocol of `webrtc.py` and keeps no state on the server.
"""

import json
from collections.abc import Awaitable, Callable, Sequence
from contextlib import redirect_stdout
from html import escape
from io import StringIO
from pathlib import Path
from typing import Any

import gradio as gr
from fastapi import FastAPI, Request, Response

from models.types import ModelInfo

_HERE = Path(__file__).parent
# Gradio's page names a script of another server.
POLICY = "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob: ws: wss:"

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
  <button id="ep-hold" class="ep-hold" hidden>Hold to talk <kbd>space</kbd></button>
  <div class="ep-row ep-switches">
    <button id="ep-mute" aria-pressed="false" title="Nothing you say is sent">Mute</button>
    <button id="ep-protect" aria-pressed="false" title="Speech does not stop this answer; it becomes the next turn"
      >Protect answer</button>
    <button id="ep-push" aria-pressed="false" title="You are heard only while you hold a button">Push to talk</button>
    <span class="ep-window" id="ep-window" title="What the model remembers"><span id="ep-window-text">Memory 0 %</span>
      <span class="ep-window-bar" id="ep-window-bar"></span></span></div>
  <details class="ep-details"><summary>Details</summary><dl id="ep-metrics"><dt>Nothing yet</dt></dl></details>
</div>
"""


def mount_page(app: FastAPI, model: ModelInfo, *, ice_servers: Sequence[dict[str, Any]]) -> None:
    """Puts the page at `/`.

    Args:
        app: what else is served.
        model: shown at the top of the page.
        ice_servers: STUN and TURN servers for the browser, as the WebRTC API takes them.
    """

    @app.middleware("http")
    async def own_sources_only(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        response = await call_next(request)
        if request.url.path == "/":
            response.headers["Content-Security-Policy"] = POLICY
        return response

    settings = json.dumps({"iceServers": list(ice_servers)}).replace("</", "<\\/")
    script, css = (_HERE / "page.js").read_text("utf-8"), (_HERE / "page.css").read_text("utf-8")
    head = f"<script>window.earpiece = {settings};</script><script>{script}</script>"
    theme = gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"])  # nothing from other servers
    with gr.Blocks(title="Earpiece", theme=theme, css=css, head=head, analytics_enabled=False) as page:
        gr.HTML(MARKUP.format(model=escape(f"{model.name}: {model.description}")), padding=False)
    with redirect_stdout(StringIO()):  # Gradio 5.50 prints a left-over "new /"
        gr.mount_gradio_app(app, page, path="/", show_api=False)

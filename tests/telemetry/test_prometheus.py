"""A real Prometheus scrapes a real server, and knows what happened there."""

import asyncio
import json
import os
import re
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from models.scripted import ScriptedModel
from tests.doors.clients import websocket_client
from tests.servers import serving
from tests.test_lock import ROOT

CONFIGURATION = """
global: {{scrape_interval: 300ms, scrape_timeout: 300ms}}
scrape_configs:
  - job_name: earpiece
    authorization: {{credentials: a-key}}
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


@pytest.fixture
def prometheus() -> str:
    """Path of a Prometheus; where there is none its test is skipped, and in CI it fails."""
    path = shutil.which("prometheus")
    if path is None:
        message = "no Prometheus was found; install it (Debian: apt-get install prometheus) to run this test"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(message)
    return path


@asynccontextmanager
async def scraping(prometheus: str, port: int, folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Has Prometheus scrape a server, and gives its HTTP API."""
    (folder / "prometheus.yml").write_text(CONFIGURATION.format(port=port), "utf-8")
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    process = await asyncio.create_subprocess_exec(
        prometheus,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}",
        "--log.level=error",
    )
    try:
        async with httpx.AsyncClient(base_url=f"http://{address}/api/v1") as http:
            yield http
    finally:
        process.terminate()
        await process.wait()


async def value_of(http: httpx.AsyncClient, query: str) -> float:
    """Asks until there is an answer."""
    async with asyncio.timeout(30):
        while True:
            try:
                found = (await http.get("/query", params={"query": query})).json()
            except httpx.ConnectError:  # it begins
                found = {"status": "error"}
            if found["status"] == "success" and found["data"]["result"]:
                return float(found["data"]["result"][0]["value"][1])
            await asyncio.sleep(0.1)


async def test_prometheus_scrapes_what_happened(prometheus: str, tmp_path: Path) -> None:
    with serving(ScriptedModel([["Yes."]])) as port:
        async with scraping(prometheus, port, tmp_path) as http, websocket_client(port) as client:
            for number in (1, 2):
                await client.type_text("Yes?")
                await client.until("response.done", number)
            assert await value_of(http, "earpiece_turns_total == 2") == 2
            assert await value_of(http, 'earpiece_answers_total{job="earpiece", status="completed"} == 2') == 2
            assert await value_of(http, 'earpiece_sessions{door="websocket"}') == 1
            median = "histogram_quantile(0.5, earpiece_model_first_token_seconds_bucket)"
            assert 0 < await value_of(http, median) < 1
            assert await value_of(http, 'up{job="earpiece"}') == 1
            metadata = (await http.get("/metadata", params={"metric": "earpiece_turns"})).json()["data"]
            assert {entry["type"] for entries in metadata.values() for entry in entries} <= {"counter"}
            for query in dashboard_queries():
                answer = (await http.get("/query", params={"query": query.replace("$__rate_interval", "1m")})).json()
                assert answer["status"] == "success", answer


def dashboard_queries() -> list[str]:
    dashboard = json.loads((ROOT / "deploy" / "grafana-dashboard.json").read_text("utf-8"))
    return [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]


def test_the_dashboard_asks_for_metrics_that_the_readme_lists() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    for query in dashboard_queries():
        for name in re.findall(r"earpiece_[a-z_]+", query):
            assert re.search(rf"`{name.removesuffix('_bucket')}[`{{]", readme), name

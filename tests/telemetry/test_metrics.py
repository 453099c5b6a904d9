"""The metrics and probes of a real server, as whoever runs it reads them."""

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import httpx
import numpy as np
from prometheus_client.parser import text_string_to_metric_families

from models.errors import GenerationFailed
from models.scripted import ScriptedModel
from models.types import Samples
from realtime.metrics import SessionMetrics
from realtime.server import create_app
from realtime.session import SessionOptions
from realtime.telemetry.counts import COUNTS
from tests.conftest import silence
from tests.doors.clients import no_sessions_left, webrtc_client, websocket_client
from tests.servers import serving
from tests.test_lock import ROOT

Series = dict[str, float]


async def series_at(port: int, path: str = "/metrics") -> Series:
    """Gives the value of every series, by its name and labels as they stand in the text."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        answer = await http.get(path)
    assert answer.status_code == 200
    return read_series(answer.text)


def read_series(text: str) -> Series:
    series = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            series[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return series


async def test_turns_answers_tokens_and_times_are_counted(
    speech: Callable[[str], Samples],
) -> None:
    model = ScriptedModel([["One.", " Two."], [GenerationFailed("no")], ["Yes."]], transcripts=["", "", "the capital"])
    with serving(model) as port:
        async with websocket_client(port) as client:
            await client.type_text("Count.")
            await client.until("response.done")
            await client.type_text("Again.")
            await client.until("response.done", 2)
            await client.say(np.concatenate([speech("question_capital"), silence(1.5)]))
            await client.until("response.done", 3)
            await client.send("nonsense")
            await client.until("error", 2)
            series = await series_at(port)
            assert series["earpiece_sessions{door=websocket}"] == 1
            assert series["earpiece_turns_total"] == 3
            assert series["earpiece_answers_total{status=completed}"] == 2
            assert series["earpiece_answers_total{status=failed}"] == 1
            assert series["earpiece_model_failures_total{error=GenerationFailed}"] == 1
            assert series["earpiece_failed_answers_total"] == 1
            assert series["earpiece_rejected_commands_total"] == 1
            assert series["earpiece_errors_total{type=server_error}"] == 1
            assert series["earpiece_completion_tokens_total"] >= 3
            assert series["earpiece_prompt_tokens_total"] >= 4
            for name in ("turn_wait", "response_latency", "caption_wait"):
                assert series[f"earpiece_{name}_seconds_count"] == 1, name
            assert 0.1 < series["earpiece_turn_wait_seconds_sum"] < 3
            assert series["earpiece_answer_duration_seconds_count"] == 3
            assert series["earpiece_answer_step_seconds_count{step=committed}"] == 1
            assert series["earpiece_answer_step_seconds_count{step=first_audio}"] == 0
            assert series["earpiece_ready"] == 1
        await no_sessions_left(port)
        after = await series_at(port)
        assert after["earpiece_turns_total"] == 3, "what a session has counted stays when it has ended"
        assert after["earpiece_sessions{door=websocket}"] == 0
        assert after["earpiece_sessions_ended_total{door=websocket,reason=left}"] == 1
        assert after["earpiece_event_loop_lag_seconds_count"] > 3
        assert after["process_open_fds"] > 0


async def test_doors_and_refusals_are_told_apart() -> None:
    with serving(ScriptedModel([["Yes."]]), max_sessions=1) as port:
        async with webrtc_client(port):
            async with websocket_client(port, start=False) as late:
                assert "the only place is taken" in (await late.until("error"))["message"]
            series = await series_at(port)
            assert series["earpiece_sessions_started_total{door=webrtc}"] == 1
            assert series["earpiece_refusals_total{door=websocket,reason=full}"] == 1


async def test_two_applications_in_one_process_have_nothing_in_common() -> None:
    with serving(ScriptedModel([["Yes."]])) as busy, serving(ScriptedModel([["No."]])) as idle:
        async with websocket_client(busy) as client:
            await client.type_text("Yes?")
            await client.until("response.done")
        assert (await series_at(busy))["earpiece_turns_total"] == 1
        assert (await series_at(idle))["earpiece_turns_total"] == 0


async def test_no_label_holds_what_a_client_has_chosen() -> None:
    with serving(ScriptedModel([["Yes."]])) as port:
        async with (
            websocket_client(port, query="?rate=16000&name=ownname") as client,
            webrtc_client(port, "ownname"),
        ):
            await client.send({"type": "ownname"})
            await client.until("error")
            series = await series_at(port)
        assert not [name for name in series if "ownname" in name or "sess_" in name or "resp_" in name]
        assert len(series) < 400


def test_every_count_of_a_session_is_a_metric_or_left_out_on_purpose() -> None:
    means_and_rates = {"cut_in_rate", "regret_rate", "mean_caption_wait_s", "mean_wait_s", "recent_waits_s"}
    of_the_capture_alone = {"clock_drift_s", "non_finite_samples", "offset_samples", "flat_samples", "rate_changes"}
    fields = set(SessionMetrics().report().__dataclass_fields__)
    assert {count.field for count in COUNTS} == fields - means_and_rates - of_the_capture_alone


async def test_the_readme_lists_every_metric() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    listed = set(re.findall(r"`(earpiece_[a-z_]+)[`{]", readme))
    with serving(EnginesElsewhere((Replica(),))) as port:
        async with httpx.AsyncClient() as http:
            text = (await http.get(f"http://127.0.0.1:{port}/metrics")).text
    exposed = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE earpiece_")}
    assert listed == {name for name in exposed if not name.endswith("_created")}


@dataclass(frozen=True, slots=True)
class Replica:
    """How an engine elsewhere is."""

    url: str = "http://name:secret@10.0.0.7:8000/v1?key=secret"
    is_answering: bool = True
    in_flight: int = 2
    requests: int = 30
    failures: int = 4
    retries: int = 3


class EnginesElsewhere(ScriptedModel):
    """A model that has others generate."""

    def __init__(self, replicas: Sequence[Replica]) -> None:
        super().__init__([["Yes."]])
        self.replicas = tuple(replicas)

    def engine_state(self) -> tuple[Replica, ...]:
        """Gives how they are."""
        return self.replicas


async def test_engines_elsewhere_are_counted_and_nobody_is_sent_here_while_none_answers() -> None:
    model = EnginesElsewhere([Replica(), Replica(url="http://10.0.0.8:8000", is_answering=False)])
    with serving(model) as port:
        series = await series_at(port)
        assert series["earpiece_engine_up{engine=10.0.0.7:8000/v1}"] == 1
        assert series["earpiece_engine_up{engine=10.0.0.8:8000}"] == 0
        assert series["earpiece_engine_requests_total{engine=10.0.0.7:8000/v1}"] == 30
        assert not [name for name in series if "secret" in name]
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
            assert (await http.get("/readyz")).json() == {"status": "ready"}
            model.replicas = (Replica(is_answering=False), Replica(is_answering=False))
            answer = await http.get("/readyz")
            assert answer.status_code == 503
            assert answer.json()["reason"] == ("none of the 2 engines answers; look at the servers that generate")
            assert (await http.get("/healthz")).json() == {"status": "ok"}
            assert (await http.get("/health")).status_code == 503
        assert (await series_at(port))["earpiece_ready"] == 0


async def test_a_server_that_goes_down_is_alive_and_not_ready() -> None:
    stack = serving(ScriptedModel([["One.", " Two."]], word_s=0.5))
    port = stack.__enter__()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http, websocket_client(port) as client:
        await client.type_text("Count.")
        await client.until("response.created")
        ending = asyncio.create_task(asyncio.to_thread(stack.__exit__, None, None, None))
        answer = await http.get("/readyz")
        for _ in range(100):
            if answer.status_code != 200:
                break
            await asyncio.sleep(0.02)
            answer = await http.get("/readyz")
        assert answer.status_code == 503
        assert "going down" in answer.json()["reason"]
        assert (await http.get("/healthz")).status_code == 200
        assert (await series_at(port))["earpiece_ready"] == 0
        await ending


def test_only_the_probes_and_what_a_login_needs_are_for_everybody() -> None:
    app = create_app(ScriptedModel([["Yes."]]), SessionOptions())
    (entrance,) = app.user_middleware
    ways = entrance.kwargs["ways"]
    public = {way.path for way in ways if way.is_public}
    assert {path for path in public if not path.startswith("/page/")} == {"/healthz", "/readyz"}
    assert "/metrics" in {way.path for way in ways}


async def test_a_scraper_is_refused_by_another_name_and_let_in_by_an_allowed_one() -> None:
    with serving(ScriptedModel([["Yes."]]), allowed_origins=("http://earpiece:7860",)) as port:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
            for host, status in (("earpiece:7860", 200), (f"127.0.0.1:{port}", 200), ("other:7860", 403)):
                assert (await http.get("/metrics", headers={"host": host})).status_code == status
            answer = await http.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
            assert answer.text.endswith("# EOF\n")
            assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")

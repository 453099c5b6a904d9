"""What is counted and timed of sessions: the names, labels and buckets of the metrics that a session's tap feeds.

Labels have few values, which the code names: a status, a step, the class of an error. No id, no address and no text of
a client ever becomes one. Read `meter.py` for who feeds them, `counts.py` and `collectors.py` for the other metrics.
"""

from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Histogram

from realtime.events import DiscardReason, ErrorType, ResponseStatus

# A first word is shown 0.4 s after the last voiced sample, an answer counts after 0.3 to 3 s, and people give up at 10.
LATENCY_BUCKETS_S = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0)
# A sentence is generated in half a second, and read aloud in five; a long answer is heard for minutes.
DURATION_BUCKETS_S = (0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0)
# Audio comes every 20 ms: what is later than that is late for everybody, and 0.1 s can be noticed.
LAG_BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)

STEPS = ("pause_noticed", "prefill", "first_provisional", "committed", "first_token", "first_audio", "done")


class Instruments:
    """The counters and histograms that all sessions of a process share.

    Args:
        registry: where they are registered.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        def timed(name: str, what: str, buckets: tuple[float, ...] = LATENCY_BUCKETS_S) -> Histogram:
            return Histogram(f"earpiece_{name}_seconds", what, buckets=buckets, registry=registry)

        def counted(name: str, what: str) -> Counter:
            return Counter(f"earpiece_{name}", what, registry=registry)

        self.turn_wait = timed("turn_wait", "Last voiced sample of a turn to its end, on the clock of its audio.")
        self.response_latency = timed("response_latency", "Last voiced sample to the first word sent.")
        self.first_token = timed("model_first_token", "The model was asked, to its first word.")
        self.answer_duration = timed(
            "answer_duration", "An answer counted, to its end; where it is read aloud, heard.", DURATION_BUCKETS_S
        )
        self.caption_wait = timed("caption_wait", "The end of a turn to its words.")
        self.loop_lag = timed("event_loop_lag", "How late the event loop woke who waited for a time.", LAG_BUCKETS_S)
        steps = Histogram(
            "earpiece_answer_step_seconds",
            "Last voiced sample to each step of its answer, as `timing` of `response.done` has them.",
            ("step",),
            buckets=LATENCY_BUCKETS_S,
            registry=registry,
        )
        self.steps = {step: steps.labels(step) for step in STEPS}
        answers = Counter("earpiece_answers", "Answers that ended, by how.", ("status",), registry=registry)
        self.answers = {status: answers.labels(status) for status in get_args(ResponseStatus)}
        discarded = Counter("earpiece_discarded_speech", "Sounds that became no turn.", ("reason",), registry=registry)
        self.discarded = {reason: discarded.labels(reason) for reason in get_args(DiscardReason)}
        errors = Counter("earpiece_errors", "Errors that clients were told.", ("type",), registry=registry)
        self.errors = {kind: errors.labels(kind) for kind in get_args(ErrorType)}
        self.model_failures = Counter(
            "earpiece_model_failures", "Answers that the model did not finish, by class.", ("error",), registry=registry
        )
        self.prompt_tokens = counted("prompt_tokens", "Tokens of the prompts of all answers that were generated whole.")
        self.cached_tokens = counted("cached_tokens", "Of these, found in the prefix cache.")
        self.completion_tokens = counted("completion_tokens", "Tokens of these answers, retracted ones among them.")

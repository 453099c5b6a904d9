"""Spans for OpenTelemetry, where the environment names a collector as every program of OpenTelemetry's reads it.

`OTEL_EXPORTER_OTLP_ENDPOINT` (or `..._TRACES_ENDPOINT`) switches them on; the other variables, for headers, names and
queues, are the SDK's own. Read `realtime/telemetry/tracing.py` for the spans.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from commands.errors import UsageError

if TYPE_CHECKING:
    from realtime.telemetry.tracing import Tracing

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
INSTALL = "pip install -c constraints.txt -e '.[otel]'"


def open_tracing(environment: Mapping[str, str]) -> "Tracing | None":
    """Gives what sends spans to the collector that the environment names; None if it names none.

    Raises:
        UsageError: they cannot be sent so.
    """
    name = next((name for name in ENDPOINTS if environment.get(name, "").strip()), None)
    is_off = environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    if name is None or is_off or environment.get("OTEL_TRACES_EXPORTER", "").strip() == "none":
        return None
    if not environment[name].strip().startswith(("http://", "https://")):
        raise UsageError(f"{name}: it must begin with http:// or https://, like http://127.0.0.1:4318")
    for protocol in PROTOCOLS:
        if environment.get(protocol, "http/protobuf").strip() not in ("", "http/protobuf"):
            raise UsageError(f"{protocol}: spans go as http/protobuf alone; set that, and the endpoint for it")
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        from realtime.telemetry.tracing import Tracing
    except ImportError as error:
        raise UsageError(f"{name} is set, and the packages for it are missing ({error}): {INSTALL}") from error
    try:
        return Tracing(OTLPSpanExporter())
    except ValueError as error:
        raise UsageError(f"a variable of OpenTelemetry cannot be what it is: {error}") from error

"""Traces, off until the environment asks for them by OpenTelemetry's own variables; off costs nothing.

| variable | |
|---|---|
| OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT | the collector; either turns traces on |
| OTEL_TRACES_EXPORTER | `otlp` turns traces on, `none` off, `console` prints them |
| OTEL_SDK_DISABLED | `true` turns traces off |
| OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES, OTEL_TRACES_SAMPLER, OTEL_BSP_*, OTEL_PROPAGATORS | as everywhere |

A request has a span of its own, below the caller's `traceparent`. Rows of many requests are computed together, in the
context of none of them: a batch has a span of its own too, and links lead from each to the other. While it is computed,
`row_traces` gives the trace of each of its rows, for the traffic log.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from tabular_bento.errors import ScoringError
from tabular_bento.serving.metrics import ENDPOINTS, CountedRequest
from tabular_bento.serving.status import FAULTS

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_EXPORTERS = ("otlp", "console", "none")

_ROW_TRACES: ContextVar[Sequence[str | None] | None] = ContextVar("row_traces", default=None)


def row_traces() -> Sequence[str | None] | None:
    """The trace id, in hex or None, of each row of the batch that is being computed; None where none is traced."""
    return _ROW_TRACES.get()


def wanted_exporter(environment: Mapping[str, str] = os.environ) -> str | None:
    """`otlp` or `console`; None where traces are off. Raises ScoringError for what is not known here."""
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    exporter = environment.get("OTEL_TRACES_EXPORTER", "").strip()
    if not exporter:
        exporter = "otlp" if any(environment.get(name) for name in _ENDPOINTS) else "none"
    if exporter not in _EXPORTERS:
        raise ScoringError(f"OTEL_TRACES_EXPORTER is {exporter!r}; {', '.join(_EXPORTERS)} are known.")
    protocol = next(filter(None, map(environment.get, _PROTOCOLS)), "http/protobuf")
    if exporter == "otlp" and protocol != "http/protobuf":
        raise ScoringError(f"Traces leave by http/protobuf alone, to port 4318 as a rule, and not by {protocol!r}.")
    return None if exporter == "none" else exporter


def start_tracing(service: str) -> Tracing | None:
    """Traces as the environment wants them; None where it wants none."""
    exporter = wanted_exporter()
    return None if exporter is None else Tracing(exporter, service)


class Tracing:
    """The spans of a worker, exported in the background.

    Parameters
    ----------
    exporter : str
        `otlp` or `console`.
    service : str
        The service's name where the environment gives none.
    """

    def __init__(self, exporter: str, service: str) -> None:
        from opentelemetry import propagate, trace
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SimpleSpanProcessor

        resource = Resource.create()
        if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):
            resource = resource.merge(Resource({SERVICE_NAME: service}))
        self._provider = TracerProvider(resource=resource)
        if exporter == "console":
            self._provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter()))
        else:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

            self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("tabular_bento.serving.endpoints")
        self._extract = propagate.extract
        self._trace = trace

    def begin(self, endpoint: str, headers: Mapping[str, str]) -> Any:
        """The span of a request to an endpoint, or of feedback, that came with these headers."""
        name = f"predict {endpoint}" if endpoint in ENDPOINTS else endpoint
        kind = self._trace.SpanKind.SERVER
        return self._tracer.start_span(name, self._extract(headers), kind=kind, attributes={"endpoint": endpoint})

    def end(self, counted: CountedRequest, error: BaseException | None) -> None:
        """End the span of a request with what is known of it."""
        span = counted.span
        span.set_attributes(described(counted))
        if counted.status in FAULTS:
            span.set_status(self._trace.StatusCode.ERROR, counted.status)
            if error is not None:
                span.record_exception(error)
        span.end()

    @contextmanager
    def batch(self, spans: Sequence[Any], rows: Sequence[int]) -> Iterator[None]:
        """The span of a batch of these requests, of so many rows each."""
        traces = [None if span is None else trace_of(span) for span in spans]
        token = _ROW_TRACES.set([trace for trace, count in zip(traces, rows, strict=True) for _ in range(count)])
        try:
            with self._linked(spans, sum(rows)):
                yield
        finally:
            _ROW_TRACES.reset(token)

    @contextmanager
    def _linked(self, spans: Sequence[Any], rows: int) -> Iterator[None]:
        asking = [span for span in spans if span is not None and span.get_span_context().trace_flags.sampled]
        if not asking:
            yield
            return
        links = [self._trace.Link(span.get_span_context()) for span in asking]
        attributes = {"batch.rows": rows, "batch.requests": len(spans)}
        from opentelemetry.context import Context

        with self._tracer.start_as_current_span("batch", Context(), links=links, attributes=attributes) as batch:
            for span in asking:
                span.add_link(batch.get_span_context())
                span.set_attributes(attributes)
            yield

    def stop(self) -> None:
        """Send what has not been sent."""
        self._provider.shutdown()


def trace_of(span: Any) -> str:
    """The trace that a span belongs to, in hex."""
    return f"{span.get_span_context().trace_id:032x}"


def trace_id(counted: CountedRequest) -> str | None:
    """The trace that a request belongs to, in hex; None where there is none."""
    return None if counted.span is None else trace_of(counted.span)


def described(counted: CountedRequest) -> dict[str, Any]:
    """What a span and a line of the log have of a request, under the same names."""
    known = {
        "request_id": counted.request_id,
        "status": counted.status,
        "rows": counted.rows,
        "first_prediction_id": counted.first_id,
    }
    return {name: value for name, value in known.items() if value not in (None, "")}

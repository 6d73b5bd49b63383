"""A server in a process of its own sends its spans to a collector, by OpenTelemetry's variables alone."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from serving.engine.context import STAGES
from tests.bundles import png, write_brightness
from tests.deploy.conftest import Server, serving, until

pytestmark = pytest.mark.slow

TRACE_ID, CLIENT_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Collector:
    """Keeps the spans that are sent to it."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.services: set[str] = set()
        collector = self

        class Receive(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                    for attribute in resource.resource.attributes:
                        if attribute.key == "service.name":
                            collector.services.add(attribute.value.string_value)
                    for scope in resource.scope_spans:
                        collector.spans.extend(scope.spans)
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Receive)
        threading.Thread(target=self.server.serve_forever).start()


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("traced") / "log"


@pytest.fixture(scope="module")
def server(collector: Collector, log: Path) -> Iterator[Server]:
    models = log.parent / "models"
    write_brightness(models)
    endpoint = f"http://127.0.0.1:{collector.server.server_port}"
    variables = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_SERVICE_NAME": "shop",
        "OTEL_BSP_SCHEDULE_DELAY": 100,
    }
    with serving(models, log, log_format="json", access_log=True, **variables) as running:
        yield running


@pytest.fixture(scope="module")
def asked(server: Server) -> httpx.Response:
    headers = {
        "content-type": "image/png",
        "traceparent": f"00-{TRACE_ID}-{CLIENT_ID}-01",
        "x-request-id": "order-7",
    }
    return httpx.post(f"{server.url}/v1/models/brightness:predict", content=png(250), headers=headers)


@pytest.mark.usefixtures("asked")
def test_a_request_is_a_span_of_its_clients_trace_with_its_stages_inside(collector: Collector) -> None:
    until(lambda: any(span.name == "predict brightness" for span in collector.spans), "the span")
    ours = [span for span in collector.spans if span.trace_id.hex() == TRACE_ID]
    root = next(span for span in ours if span.name == "predict brightness")
    assert root.parent_span_id.hex() == CLIENT_ID
    assert collector.services == {"shop"}
    stages = [span for span in ours if span.parent_span_id == root.span_id]
    assert [span.name for span in stages] == [
        stage for stage in STAGES if stage in {span.name for span in stages}
    ]
    assert {"decode", "preprocess", "run", "encode"} <= {span.name for span in stages}
    assert all(root.start_time_unix_nano <= span.start_time_unix_nano for span in stages)
    assert all(span.end_time_unix_nano <= root.end_time_unix_nano for span in stages)


@pytest.mark.usefixtures("asked")
def test_the_histogram_points_at_the_trace(server: Server) -> None:
    accept = {"accept": "application/openmetrics-text;version=1.0.0"}
    lines = httpx.get(f"{server.url}/metrics", headers=accept).text.splitlines()
    found = [line for line in lines if line.startswith("baton_request_seconds_bucket") and "# {" in line]
    assert len(found) == 1
    assert f'# {{trace_id="{TRACE_ID}"}}' in found[0]


def test_a_logged_line_is_json_with_the_request_and_without_its_payload(
    asked: httpx.Response, log: Path
) -> None:
    assert asked.headers["x-request-id"] == "order-7"
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    (line,) = [line for line in lines if line["logger"] == "baton.access"]
    assert (line["request_id"], line["trace_id"], line["status"]) == ("order-7", TRACE_ID, 200)
    assert line["path"] == "/v1/models/brightness:predict"
    assert "run_ms" in line
    assert "PNG" not in json.dumps(line)

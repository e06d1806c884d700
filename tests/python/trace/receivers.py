"""Collectors for tests: they receive OTLP over either transport and keep what they get, or misbehave on purpose."""

from __future__ import annotations

import gzip
import http.server
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metric_messages
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as messages

PATIENCE_SECONDS = 30


class Received:
    """One span with what was said around it."""

    def __init__(self, resource, scope, span):
        self.resource = plain(resource.attributes)
        self.scope = scope
        self.attributes = plain(span.attributes)
        self.name = span.name
        self.kind = span.kind
        self.trace_id = span.trace_id.hex()
        self.span_id = span.span_id.hex()
        self.parent_id = span.parent_span_id.hex()
        self.start = span.start_time_unix_nano
        self.end = span.end_time_unix_nano
        self.duration = self.end - self.start
        self.status = span.status
        self.flags = span.flags
        self.links = list(span.links)


class ReceivedPoint:
    """One data point of a metric with what was said around it."""

    def __init__(self, resource, scope, metric, point):
        self.resource = plain(resource.attributes)
        self.scope = scope
        self.name = metric.name
        self.unit = metric.unit
        self.description = metric.description
        self.kind = metric.WhichOneof("data")
        self.data = getattr(metric, self.kind)
        self.attributes = plain(point.attributes)
        self.point = point

    @property
    def number(self):
        """The value of a point that is no distribution."""
        return getattr(self.point, self.point.WhichOneof("value"))


def plain(attributes):
    """Attributes as a dictionary."""
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}


class Collector:
    """Keeps spans and the headers that they came with."""

    def __init__(self):
        self._lock = threading.Condition()
        self.spans = []
        self.reports = []
        self.headers = []

    def take(self, request, headers):
        with self._lock:
            self.headers.append(headers)
            for resource in request.resource_spans:
                for scope in resource.scope_spans:
                    self.spans += [Received(resource.resource, scope.scope, span) for span in scope.spans]
            self._lock.notify_all()

    def take_metrics(self, request, headers):
        points = [
            ReceivedPoint(resource.resource, scope.scope, metric, point)
            for resource in request.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            for point in getattr(metric, metric.WhichOneof("data")).data_points
        ]
        with self._lock:
            self.headers.append(headers)
            self.reports.append(points)
            self._lock.notify_all()

    def points(self, name, **attributes):
        """The points of a metric in the last report that have these attributes, dots written as underscores."""
        with self._lock:
            last = self.reports[-1]
        wanted = set(attributes.items())
        return [
            point
            for point in last
            if point.name == name
            and wanted <= {(attribute.replace(".", "_"), value) for attribute, value in point.attributes.items()}
        ]

    def roots(self):
        """The spans of operations."""
        with self._lock:
            return [span for span in self.spans if "db.system.name" in span.attributes]

    def below(self, parent):
        """The spans right below another one, in order of time."""
        with self._lock:
            return sorted(
                (span for span in self.spans if span.parent_id == parent.span_id), key=lambda span: span.start
            )

    def wait_for(self, condition):
        """Wait until what was received fulfils a condition."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        with self._lock:
            while not condition():
                assert self._lock.wait(deadline - time.monotonic()), f"{len(self.spans)} spans came in time"


class HttpCollector(Collector):
    """Receives OTLP over HTTP; ``behaviour`` may be changed at any time."""

    protocol = "http/protobuf"

    def __init__(self):
        super().__init__()
        self.behaviour = "take"
        self.answer = messages.ExportTraceServiceResponse()
        self.requests = 0
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.requests += 1
                if collector.behaviour == "slow":
                    time.sleep(0.4)
                status = 503 if collector.behaviour == "refuse" else 200
                if status == 200:
                    if self.headers.get("Content-Encoding") == "gzip":
                        body = gzip.decompress(body)
                    headers = {name.lower(): value for name, value in self.headers.items()}
                    headers[":path"] = self.path
                    if self.path.endswith("/v1/metrics"):
                        collector.take_metrics(metric_messages.ExportMetricsServiceRequest.FromString(body), headers)
                    else:
                        collector.take(messages.ExportTraceServiceRequest.FromString(body), headers)
                answer = collector.answer.SerializeToString()
                self.send_response(status)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *arguments):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"

    def stop(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class GrpcCollector(Collector):
    """Receives OTLP over gRPC."""

    protocol = "grpc"

    def __init__(self):
        import grpc
        from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc as metric_services
        from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as services

        super().__init__()
        collector = self

        class Service(services.TraceServiceServicer):
            def Export(  # noqa: N802 - the name that gRPC calls
                self, request, context
            ):
                collector.take(request, dict(context.invocation_metadata()))
                return messages.ExportTraceServiceResponse()

        class MetricService(metric_services.MetricsServiceServicer):
            def Export(  # noqa: N802 - the name that gRPC calls
                self, request, context
            ):
                collector.take_metrics(request, dict(context.invocation_metadata()))
                return metric_messages.ExportMetricsServiceResponse()

        self._server = grpc.server(ThreadPoolExecutor(4))
        metric_services.add_MetricsServiceServicer_to_server(MetricService(), self._server)
        services.add_TraceServiceServicer_to_server(Service(), self._server)
        port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()
        self.endpoint = f"http://127.0.0.1:{port}"

    def stop(self):
        self._server.stop(0).wait()


class Hole:
    """Accepts connections and never says a word."""

    def __init__(self):
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._accepted = []
        self._visited = threading.Event()
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def _accept(self):
        while True:
            try:
                self._accepted.append(self._socket.accept()[0])
            except OSError:
                return
            self._visited.set()

    def wait_for_visitor(self):
        """Wait until somebody has connected."""
        assert self._visited.wait(PATIENCE_SECONDS), "nobody came in time"

    def stop(self):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()
        for accepted in self._accepted:
            accepted.close()


def nobody():
    """The URL of a port at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}"

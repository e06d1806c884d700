"""A collector in a process of its own, which the soak kills, stops and starts again at the same port.

``python collector_process.py PORT LEDGER``: answers OTLP over HTTP. Before a request is answered, a line with its
path, the operations that it tells of, and its spans or points is in the file LEDGER, so that what a killed collector
has taken is known.
"""

from __future__ import annotations

import gzip
import http.server
import os
import socket
import sys

from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as traces
from opentelemetry.proto.trace.v1 import trace_pb2

DEFERRED = "aerospike.deferred"
"""What the span of a conversion says that was made after its operation."""
DURATION = "db.client.operation.duration"


def count_metrics(body: bytes) -> tuple[int, int]:
    """Return how many operations have ended since the process began, and how many points there are."""
    operations = points = 0
    for resource in metrics.ExportMetricsServiceRequest.FromString(body).resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                kind = metric.WhichOneof("data")
                assert kind is not None, metric.name
                found = getattr(metric, kind).data_points
                points += len(found)
                if metric.name == DURATION:
                    operations += sum(point.count for point in found)
    return operations, points


def count_traces(body: bytes) -> tuple[int, int]:
    """Return operations and spans; a conversion that was made later counts as an operation, as it does when sent."""
    operations = spans = 0
    for resource in traces.ExportTraceServiceRequest.FromString(body).resource_spans:
        for scope in resource.scope_spans:
            spans += len(scope.spans)
            for span in scope.spans:
                is_client = span.kind == trace_pb2.Span.SPAN_KIND_CLIENT
                operations += is_client or any(attribute.key == DEFERRED for attribute in span.attributes)
    return operations, spans


COUNTED = {"/v1/traces": count_traces, "/v1/metrics": count_metrics}


class Server(http.server.ThreadingHTTPServer):
    """Listens at once again where the one that was killed has listened."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64


def handler(ledger: int) -> type[http.server.BaseHTTPRequestHandler]:
    """A handler that writes into the file of that descriptor."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            operations, parts = COUNTED[self.path](body)
            os.write(ledger, f"{self.path} {operations} {parts}\n".encode())
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    return Handler


def main() -> None:
    port, path = int(sys.argv[1]), sys.argv[2]
    ledger = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    server = Server(("127.0.0.1", port), handler(ledger))
    server.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    server.serve_forever()


if __name__ == "__main__":
    main()

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

from wire import count_metrics, count_traces

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

# SPDX-License-Identifier: Apache-2.0
"""A webhook receiver: every event that is POSTed becomes one line of a file, with the time it came.

    python3 demo/receiver.py EVENTS_FILE

Listens on a free port of 127.0.0.1 and prints its number. PUT /delay/MS makes every later answer take that long.
Ends when its standard input does."""
import http.server
import json
import sys
import threading
import time


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"       # connections are kept
    disable_nagle_algorithm = True
    timeout = 600

    def do_POST(self):
        came = time.monotonic_ns()
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            event = json.loads(body)
        except ValueError:
            self.answer(400)
            return
        if self.server.delay:
            time.sleep(self.server.delay)
        line = json.dumps({"came": came, "key": event["Key"], "name": event["EventName"], "event": event})
        with self.server.lock:
            self.server.out.write(line + "\n")
            self.server.out.flush()
        self.answer(200)

    def do_PUT(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.delay = int(self.path.rsplit("/", 1)[1]) / 1000
        self.answer(200)

    def answer(self, status):
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True

    def handle_error(self, request, client_address):
        """A sender that was killed leaves broken connections behind: nothing to say about it."""


def main():
    server = Server(("127.0.0.1", 0), Handler)
    server.lock, server.delay = threading.Lock(), 0
    server.out = open(sys.argv[1], "a", encoding="utf-8")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()

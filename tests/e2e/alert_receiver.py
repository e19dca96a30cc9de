"""Runs on the client: keeps what Alertmanager sends, one line for each alert, with the time at which it came."""

from __future__ import annotations

import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LOG = "/tmp/alerts.jsonl"


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with open(LOG, "a", encoding="utf-8") as log:
            for alert in message["alerts"]:
                kept = {"at": time.time(), "status": alert["status"], **alert["labels"]}
                log.write(json.dumps({**kept, "annotations": alert["annotations"]}) + "\n")
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_words: object) -> None:
        """Nobody reads it."""


open(LOG, "w", encoding="utf-8").close()
ThreadingHTTPServer(("", 9095), Receiver).serve_forever()

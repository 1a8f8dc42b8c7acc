"""The command that a run names at its end, and a service that speaks as W&B's does: each row once, in order."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

OWNER = {"id": "m", "name": "lab", "entity": {"id": "e", "name": "me"}}


class Service(BaseHTTPRequestHandler):
    """Keeps the rows of a run, and says how many it has when it is asked; of all else it takes what comes."""

    protocol_version = "HTTP/1.1"
    sent: ClassVar[list[tuple[int, list[int]]]] = []
    """Of each parcel of rows: how many lines were there before, by its sender's count, and the steps."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
        answer = {}
        if self.path == "/graphql":
            data = self.data(json.loads(body))
            answer = {"data": data} if data else {"data": None, "errors": [{"message": "not here"}]}
        elif self.path.endswith("/file_stream"):
            rows = (json.loads(body).get("files") or {}).get("wandb-history.jsonl")
            if rows:
                self.sent.append((rows["offset"], [json.loads(row)["_step"] for row in rows["content"]]))
        text = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_PUT(self):
        self.do_POST()

    def data(self, said):
        asked, words = said.get("operationName"), said.get("variables") or {}
        steps = [step for _, some in self.sent for step in some]
        if asked == "RunResumeStatus":
            bucket = {
                "id": "x",
                "name": words["name"],
                "displayName": "x",
                "config": "{}",
                "tags": [],
                "wandbConfig": '{"t": 1}',
                "historyLineCount": len(steps),
                "eventsLineCount": 0,
                "logLineCount": 0,
                "historyTail": json.dumps([json.dumps({"_step": max(steps, default=0)})]),
                "eventsTail": "[]",
                "summaryMetrics": "{}",
            }
            return {"model": {**OWNER, "bucket": bucket if steps else None}}
        if asked == "UpsertBucket":
            bucket = {"id": "x", "name": words.get("name"), "displayName": "x", "config": "{}", "project": OWNER}
            return {"upsertBucket": {"bucket": {**bucket, "historyLineCount": len(steps)}, "inserted": not steps}}
        if asked == "CreateRunFiles":
            url = f"http://127.0.0.1:{self.server.server_port}/files"
            files = [{"name": name, "uploadUrl": url} for name in words["files"]]
            return {"createRunFiles": {"runID": "x", "uploadHeaders": [], "files": files}}
        return None

    def handle(self):
        with contextlib.suppress(OSError, ValueError):
            super().handle()

    def log_message(self, *_args):
        pass


@pytest.fixture
def service():
    Service.sent.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_each_row_is_sent_once_and_in_order(run, service, tmp_path):
    *_, told = [line for line in (run / "log.txt").read_text().splitlines() if "wandb sync" in line]
    command = told.partition("wandb sync ")[2].split()
    shutil.copytree(run / "wandb", tmp_path / run.relative_to(run.parents[2]) / "wandb", symlinks=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")}
    done = subprocess.run(
        [sys.executable, "-m", "wandb", "sync", *command],
        cwd=tmp_path,
        env={**kept, "HOME": str(tmp_path), "WANDB_API_KEY": "0" * 40, "WANDB_BASE_URL": service},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert [step for _, steps in Service.sent for step in steps] == list(range(1, 10))
    before = 0
    for offset, steps in Service.sent:
        assert offset == before
        before += len(steps)

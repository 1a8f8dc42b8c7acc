"""Weights & Biases without a network, or with a service that goes away: no run waits long for it, none fails."""

from __future__ import annotations

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest
from tracked_runs import RECIPE, differing, kdseg, told_numbers, wandb_files, wandb_history

from kdseg.engine.run.wandb_tracker import mode_of

KEY = "0123456789abcdef" * 2 + "01234567"
ANSWERS = {
    "RunResumeStatus": {"model": {"id": "m", "name": "kdseg", "entity": {"id": "e", "name": "me"}, "bucket": None}},
    "UpsertBucket": {
        "upsertBucket": {
            "bucket": {
                "id": "x",
                "name": "RUN",
                "displayName": "RUN",
                "config": "{}",
                "historyLineCount": 0,
                "project": {"id": "p", "name": "kdseg", "entity": {"id": "e", "name": "me"}},
            },
            "inserted": True,
        }
    },
}


class Service(BaseHTTPRequestHandler):
    """Answers until a run has begun, then hangs up on whoever comes."""

    protocol_version = "HTTP/1.1"
    begun: ClassVar[list[str]] = []

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        said = json.loads(body) if self.path == "/graphql" else {}
        asked = said.get("operationName")
        if asked not in ANSWERS or self.begun:
            self.connection.close()
            self.close_connection = True
            return
        if asked == "UpsertBucket":
            self.begun.append(asked)
        answer = json.dumps({"data": ANSWERS[asked]}).replace("RUN", str(said["variables"].get("name"))).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def handle(self):
        with contextlib.suppress(OSError, ValueError):
            super().handle()

    def log_message(self, *_args):
        pass


@pytest.fixture
def service():
    Service.begun.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def job(tmp_path):
    (tmp_path / "job.toml").write_text(RECIPE + "[tracking.wandb]\n", encoding="utf-8")

    def job(url):
        done = kdseg(tmp_path, "run", "job.toml", WANDB_MODE="online", WANDB_API_KEY=KEY, WANDB_BASE_URL=url)
        assert done.returncode == 0, done.stderr
        run = (tmp_path / "runs" / "job" / "latest").resolve()
        assert not [path for path in run.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
        return run, (run / "log.txt").read_text(encoding="utf-8").splitlines()

    return job


def test_where_nobody_answers_the_run_waits_on_the_disk(job, free_port):
    run, log = job(f"http://127.0.0.1:{free_port}")
    (warning,) = [line for line in log if "WARNING" in line]
    assert "Weights & Biases cannot be reached" in warning
    (file,) = [file for file in wandb_files(run) if file.parent.name.startswith("offline-run-")]
    assert log[-1].endswith(f"offline; to upload what there is: wandb sync {file.parent.relative_to(run.parents[2])}")
    assert wandb_history(run).keys() >= told_numbers(run).keys()


def test_a_service_that_goes_away_ends_no_run_and_the_end_says_how_to_send_the_rest(job, service):
    run, log = job(service)
    assert any("Weights & Biases: online" in line for line in log)
    assert (run / "summary.json").exists()
    assert Service.begun
    (file,) = wandb_files(run)
    assert "Weights & Biases: stopped (" in log[-1]
    assert log[-1].endswith(f"wandb sync --include-online {file.parent.relative_to(run.parents[2])}")
    history = {place: value for place, value in wandb_history(run).items() if place[0].startswith(("loss/", "val/"))}
    wanted = {place: value for place, value in told_numbers(run).items() if place[0].startswith(("loss/", "val/"))}
    assert differing(history, wanted) == []


def test_nobody_is_asked_for_a_key(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_MODE", "online")
    assert mode_of(tmp_path) == "offline"
    (told,) = caplog.messages
    assert "nobody is logged in here" in told
    (tmp_path / ".netrc").write_text(f"machine api.wandb.ai login user password {KEY}\n")
    (tmp_path / ".netrc").chmod(0o600)
    assert mode_of(tmp_path) == "online"
    monkeypatch.delenv("WANDB_MODE")
    assert mode_of(tmp_path) == "online"
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert mode_of(tmp_path) == "disabled"


def test_a_run_that_began_offline_stays_so(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.delenv("WANDB_MODE")
    assert mode_of(tmp_path) == "online"
    (tmp_path / "wandb" / "offline-run-20260101_000000-x").mkdir(parents=True)
    assert mode_of(tmp_path) == "offline"

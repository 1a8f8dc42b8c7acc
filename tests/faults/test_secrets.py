"""No secret of the machine reaches a run's folder, and its files are as open as the user's umask says, no more."""

from __future__ import annotations

import os
import stat
import subprocess
import sys

import pytest
from fault_jobs import student_job

RECIPE = student_job(4, loss="learned_scale") + "[tracking.wandb]\n"
SCRIPT = """
import os
import torch
from kdseg.cli import main

os.umask(0o027)
torch.set_num_threads(1)
main(["run", "job.toml", "--set", "seed=4"])
"""
VARIABLES = ("WANDB_API_KEY", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "SOME_OTHER_VARIABLE")


def marker(name):
    """Give a secret that nothing else holds: 40 characters, as W&B's keys are."""
    return f"secret{name.encode().hex()}".ljust(40, "0")[:40]


MARKERS = {name: marker(name) for name in (*VARIABLES, "netrc", "remote", "uncommitted")}
USER, ARGUMENT = marker("user of the remote"), marker("argument")  # a token may be the user: https://TOKEN:x@host


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run with W&B, begun by a script with an argument of its own, in a repository with uncommitted work."""
    folder = tmp_path_factory.mktemp("job")
    home, work = folder / "home", folder / "work"
    home.mkdir()
    work.mkdir()
    logins = [f"machine {host} login user password {MARKERS['netrc']}\n" for host in ("api.wandb.ai", "host.invalid")]
    for name in (".netrc", "_netrc"):
        (home / name).write_text("".join(logins), encoding="utf-8")
    (work / "job.toml").write_text(RECIPE, encoding="utf-8")
    (work / "train.py").write_text(SCRIPT, encoding="utf-8")
    remote = f"https://{USER}:{MARKERS['remote']}@host.invalid/x.git"
    for words in (
        ["init", "--quiet"],
        ["remote", "add", "origin", remote],
        ["add", "--all"],
        ["-c", "user.name=A", "-c", "user.email=a@host.invalid", "commit", "--quiet", "--message", "all"],
    ):
        subprocess.run(["git", *words], cwd=work, check=True)
    with (work / "train.py").open("a", encoding="utf-8") as file:
        file.write(f"# {MARKERS['uncommitted']}\n")
    done = subprocess.run(
        [sys.executable, "train.py", "--api-key", ARGUMENT],
        cwd=work,
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("WANDB")},
            **{name: MARKERS[name] for name in VARIABLES},
            "HOME": str(home),
            "WANDB_MODE": "offline",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return (work / "runs" / "job" / "latest").resolve()


def files(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def holders(folder, secrets):
    """Give the files that hold a secret, with its name."""
    return [
        (str(path.relative_to(folder)), name)
        for path in files(folder)
        for name, secret in secrets.items()
        if secret.encode() in path.read_bytes()
    ]


def test_the_search_finds_a_secret_in_any_file(tmp_path):
    (tmp_path / "binary").write_bytes(b"\0\xff" + MARKERS["netrc"].encode() + b"\0")
    assert holders(tmp_path, MARKERS) == [("binary", "netrc")]
    assert len({*MARKERS.values(), USER, ARGUMENT}) == len(MARKERS) + 2


def test_the_run_did_all_that_could_tell_a_secret(run):
    assert list(run.glob("wandb/offline-run-*/*.wandb"))
    assert list(run.glob("checkpoints/step-*/student.training.pt"))
    assert (run / "log.txt").read_text()
    assert '-dirty"' in (run / "environment.json").read_text()


def test_no_secret_of_the_machine_is_in_the_folder(run):
    assert holders(run, MARKERS) == []


def test_nor_what_was_said_to_the_program_that_began_it(run):
    """A script may have any arguments, and the saved recipe says all that `--set` said."""
    found = holders(run, {"user of the remote": USER, "argument": ARGUMENT})
    assert [file for file, _ in found if not file.startswith("wandb/")] == []
    assert "seed = 4" in (run / "recipe.toml").read_text()


def test_nor_does_wandb_keep_it(run):
    assert holders(run / "wandb", {"user of the remote": USER, "argument": ARGUMENT}) == []


def modes(paths):
    return {stat.filemode(path.lstat().st_mode) for path in paths}


@pytest.mark.parametrize(
    "where",
    [
        ".",
        "checkpoints",
        "pictures",
        "plugins",
        "models",
    ],
)
def test_files_and_folders_are_as_the_umask_says(run, where):
    inside = [run / where] if where == "." else [run / where, *(run / where).rglob("*")]
    assert modes(path for path in inside if path.is_dir()) == {"drwxr-x---"}
    inside += [path for path in run.iterdir() if path.is_file()]
    assert modes(path for path in inside if path.is_file()) == {"-rw-r-----"}


def test_nothing_is_open_to_the_world(run):
    every = [run, *run.rglob("*")]
    assert not [path for path in every if path.lstat().st_mode & 0o007 and not path.is_symlink()]


def test_git_is_asked_for_the_commit_alone_and_runs_nothing_that_the_repository_names(tmp_path, monkeypatch):
    from kdseg.engine.folders.run_folder import git_commit

    monkeypatch.chdir(tmp_path)
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/it-ran\n", encoding="utf-8")
    program.chmod(0o755)
    (tmp_path / "code.py").write_text("1\n", encoding="utf-8")
    author = ["-c", "user.name=A", "-c", "user.email=a@host.invalid"]
    for words in (["init", "--quiet"], ["add", "code.py"], [*author, "commit", "--quiet", "-m", "all"]):
        subprocess.run(["git", *words], check=True)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    subprocess.run(["git", "config", "core.fsmonitor", str(program)], check=True)
    hook = tmp_path / ".git" / "hooks" / "post-index-change"
    hook.parent.mkdir(exist_ok=True)
    hook.symlink_to(program)
    os.utime(tmp_path / "code.py", (0, 0))  # so git looks at it again
    assert git_commit() == commit
    (tmp_path / "code.py").write_text("2\n", encoding="utf-8")
    assert git_commit() == f"{commit}-dirty"
    assert not (tmp_path / "it-ran").exists()
    subprocess.run(["git", "status"], check=True, capture_output=True)
    assert (tmp_path / "it-ran").exists()  # which a plain git does run

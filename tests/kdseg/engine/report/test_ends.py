"""A run leaves its report when it ends, by an error too; what goes wrong with the report harms nobody."""

from __future__ import annotations

import logging
import os
import shutil

import pytest
from html_page import Page

from kdseg.engine.folders.run_folder import find_run, is_finished
from kdseg.engine.report import write
from kdseg.engine.report.reading import read_run
from kdseg.engine.run.start import resume_run, run_recipe
from kdseg.errors import KdsegError
from kdseg.hooks import Hooks

EXTENDS = "stateful/callbacks.toml"


class Fails(Hooks):
    """Raises what it is given, after a step."""

    def __init__(self, error, step=5):
        self.error, self.step = error, step

    def on_step_end(self, run):
        if run.step == self.step:
            raise self.error


def page_of(run):
    return Page((run / "report.html").read_text(encoding="utf-8"))


def chip(run):
    return page_of(run).find("span", class_="chip")[0].text


@pytest.fixture
def ended(load, folder):
    """Run a recipe until an error ends it, and give its folder."""

    def ended(error):
        with pytest.raises(type(error)):
            run_recipe(load("", extends=EXTENDS), console=lambda: Fails(error))
        return find_run(folder / "runs/recipe")

    return ended


def test_a_finished_run_leaves_its_report(train):
    run = train("", extends=EXTENDS)
    page = page_of(run.folder)
    for name, told in run.summary["participants"].items():
        row = next(row for row in page.table("participant") if row[0] == name)
        if told["best"] is not None:
            assert row[1] == f"{told['best']['value']:.4f} step {told['best']['step']}"
        assert row[2] == f"{told['miou']:.4f}"
        assert row[4] == str(told["steps"])


def test_an_error_leaves_a_report_that_tells_it(ended):
    run = ended(KdsegError("the data is gone"))
    assert chip(run) == "failed"
    assert page_of(run).find("section", class_="bad")[0].text == "What ended it the data is gone"
    assert "ERROR the run ended: the data is gone" in (run / "log.txt").read_text(encoding="utf-8")
    write.write_report([run], run / "report.html")  # made again later, by the log
    assert page_of(run).find("section", class_="bad")[0].text == "What ended it the data is gone"
    assert chip(resume_run(run).folder) in ("finished", "stopped")
    assert not page_of(run).find("section", class_="bad")


def test_an_error_before_the_first_checkpoint_is_no_more_once_the_run_begins_again(ended, caplog):
    caplog.set_level(logging.INFO, "kdseg")
    run = ended(KdsegError("the data is gone"))
    shutil.rmtree(run / "checkpoints", ignore_errors=True)
    seen = []

    class Looks(Hooks):
        def on_step_end(self, run):
            seen.append(read_run(run.folder).error)

    assert read_run(run).error == "the data is gone"
    resume_run(run, console=Looks)
    assert set(seen) == {None}


def test_a_signal_is_no_error(ended):
    run = ended(SystemExit(143))
    assert chip(run) == "unfinished"
    assert not page_of(run).find("section", class_="bad")


def test_a_second_ctrl_c_waits_for_no_report(ended):
    assert not (ended(KeyboardInterrupt()) / "report.html").exists()


@pytest.mark.parametrize(
    "error", [ValueError("no such template"), OSError(28, "No space left on device"), MemoryError()]
)
def test_a_report_that_fails_is_a_warning(train, ended, monkeypatch, caplog, error):
    def fails(*_args, **_named):
        raise error

    monkeypatch.setattr(write, "render", fails)
    with caplog.at_level(logging.WARNING, "kdseg"):
        run = train("", extends=EXTENDS, name="whole")
    assert is_finished(run.folder)
    assert not (run.folder / "report.html").exists()
    assert f"no report was made: {type(error).__name__}: {error}" in caplog.text
    assert "the data is gone" in (ended(KdsegError("the data is gone")) / "log.txt").read_text(encoding="utf-8")


def test_a_disk_that_refuses_the_report_costs_nothing_else(train, monkeypatch):
    replace = os.replace

    def refuses(source, target, **named):
        if str(target).endswith("report.html"):
            raise OSError(28, "No space left on device", str(target))
        return replace(source, target, **named)

    monkeypatch.setattr("pathlib.os.replace", refuses)
    run = train("", extends=EXTENDS)
    assert is_finished(run.folder)
    assert not [path.name for path in run.folder.iterdir() if "report" in path.name]
    assert "no report was made" in (run.folder / "log.txt").read_text(encoding="utf-8")


def test_the_page_of_a_run_that_learned_is_that_of_its_files(train, lines):
    run = train("", extends=EXTENDS)
    last = lines(run, "evaluation")[-1]
    (table,) = [table for table in page_of(run.folder).tables() if table[0][0] == "class"]
    heads = table[0]
    for row in table[1:]:
        for head, cell in zip(heads[1:], row[1:], strict=True):
            name, _, which = head.partition(" ")
            if which == "last":
                value = last[f"val/{name}/iou"][row[0]]
                assert cell == ("absent" if value is None else f"{value:.4f}")

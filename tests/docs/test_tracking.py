"""The page on trackers: its command runs, and the run ends with the lines that the page shows."""

from __future__ import annotations

import re
import shlex

SMALL = (
    "train.steps=2",
    "train.batch_size=2",
    "train.workers=0",
    "models.student.backbone.base=2",
    "data.val.images=2",
)


def test_the_command_ends_with_the_lines_that_are_shown(pages, tmp_path, monkeypatch, kdseg, one_thread):
    monkeypatch.chdir(tmp_path)
    blocks = {block.language: block.text for block in pages["docs/tracking.md"].blocks}
    words = shlex.split(blocks["sh"])[1:]
    status, out, err = kdseg(*words, *(word for setting in SMALL for word in ("--set", setting)))
    assert status == 0, out + err
    log = (tmp_path / "runs" / "student_alone" / "latest" / "log.txt").read_text(encoding="utf-8")
    for line in blocks["text"].splitlines():
        beginning, dots, _ = line.partition("…")
        assert dots
        assert re.search(re.escape(beginning), log)
        assert beginning in err

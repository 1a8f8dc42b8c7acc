"""The whole suite runs in two processes, a part of it in one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TELL = """
import pytest

def pytest_configure(config):
    option = config.option
    pytest.exit(f"in {getattr(option, 'numprocesses', None)} by {getattr(option, 'dist', None)}", returncode=0)
"""
"""A plugin of pytest that tells how many processes it would start, in place of starting them."""


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "in 2 by worksteal"),
        (["-m", "slow"], "in 2 by worksteal"),
        (["-n", "3"], "in 3 by load"),
        (["-n", "0"], "in 0 by no"),
        (["-k", "losses"], "in None by no"),
        (["tests/recipes"], "in None by no"),
        (["-m", "gpu"], "in None by no"),
        (["--pdb"], "in None by no"),
        (["-p", "no:xdist"], "in None by None"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_the_whole_suite_alone_is_shared_out(tmp_path, words, told):
    pytest.importorskip("xdist")
    (tmp_path / "tell.py").write_text(TELL, encoding="utf-8")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "pytest", "-p", "tell", "-p", "no:cacheprovider", *words]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=False
    )
    assert done.stderr.strip() == f"Exit: {told}"

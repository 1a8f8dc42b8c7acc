"""Two processes on one GPU, where what joins them allows it, take the steps of one."""

from __future__ import annotations

import socket

import pytest
from paradigms import PARADIGMS

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(600)]

TOLERANCE = 2e-5
RECIPE = PARADIGMS["alternating"].replace('norm = "batch"', 'norm = "group"') + '[callbacks.witness]\nuse = "witness"\n'


@pytest.fixture
def together(start, folder, device):
    """Start two workers that know of each other."""

    def together(*words):
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            port = str(sock.getsockname()[1])
        shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        return [start(folder, [*words, "--gloo"], RANK=str(rank), LOCAL_RANK=str(rank), **shared) for rank in range(2)]

    return together


def test_two_processes_on_one_gpu_take_the_steps_of_one(together, finish, train, folder, device, weights, assert_same):
    outs = [(process.communicate(timeout=120)[0], process) for process in together("--probe", str(device))]
    for out, process in outs:
        if process.returncode != 0:
            pytest.skip(f"gloo does not join tensors of {device} here: {out.strip().splitlines()[-1]}")
    alone = train(RECIPE, "train.deterministic=true", name="alone")
    (folder / "shared.toml").write_text(f'extends = "base.toml"\n{RECIPE}', encoding="utf-8")
    for process in together("shared.toml", "--set", "train.deterministic=true"):
        finish(process)
    shared = folder / "runs" / "shared" / "latest"
    for name in ("teacher", "student"):
        assert_same(weights(shared, name), weights(alone, name), TOLERANCE)
    assert (shared / "witness-1.pt").exists()

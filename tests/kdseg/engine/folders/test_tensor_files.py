"""Weights in files: what a killed process left half written is swept away."""

from __future__ import annotations

import torch
from safetensors.torch import load_file

from kdseg.engine.folders.tensor_files import save_weights


def test_the_half_written_file_of_a_killed_process_goes_with_the_next_that_is_written(tmp_path):
    """Where safetensors would write it: it gives each a name of its own."""
    network = torch.nn.Conv2d(3, 4, 1)
    (tmp_path / ".tmpLCOWpp").write_bytes(b"half")
    (tmp_path / "model.json").write_text("{}")
    save_weights(network, tmp_path / "best.safetensors")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.safetensors", "model.json"]
    assert torch.equal(load_file(tmp_path / "best.safetensors")["weight"], network.weight)

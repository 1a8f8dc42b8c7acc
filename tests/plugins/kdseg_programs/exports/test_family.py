"""Any UNet of the family leaves as a file that says what it says, at sizes of every sort."""

from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kdseg.components import BackboneContext, ExportContext, RunnerContext
from kdseg.engine.deploy.graph import DeployedGraph
from kdseg.engine.models.model import SegmentationModel
from kdseg_programs import OnnxFile, OpenVinoFile, Pt2File
from kdseg_unet import UNet

CARD = {
    "classes": ["a", "b", "c"], "colours": [[0, 0, 0]] * 3, "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.25],
    "output": "logits", "precision": "fp32",
}  # fmt: skip
CONTEXT = BackboneContext(in_channels=3, num_classes=3)
NETWORKS = st.builds(
    UNet,
    base=st.sampled_from([2, 3, 5]),
    downsamplings=st.integers(1, 4),
    block=st.sampled_from(["plain", "depthwise"]),
    stem_stride=st.sampled_from([1, 2, 4]),
    upsampling=st.sampled_from(["transposed", "bilinear"]),
    norm=st.sampled_from(["batch", "group"]),
)
SIDES = st.integers(32, 90)


def settled(options):
    """Build a network whose running statistics are no longer the first ones."""
    torch.manual_seed(0)
    network = options.build(CONTEXT).eval()
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.normal_()
            layer.running_var.uniform_(0.5, 2.0)
    return network


def agrees(exporter, options, folder, sizes):
    graph = DeployedGraph(SegmentationModel(settled(options), CARD), logits=True, seen=None).eval()
    folded = graph.folded()
    file = folder / f"net{exporter.suffix}"
    exporter.build(
        ExportContext(
            file=file, module=folded, network=folded.network, example=torch.rand(2, 3, 323, 451), size=None,
            precision="fp32", calibration=list, card=CARD,
        )
    )  # fmt: skip
    runner = exporter.open(file, RunnerContext(card=CARD, threads=1))
    for count, (height, width) in enumerate(sizes, 1):
        images = torch.rand(count, 3, height, width)
        with torch.no_grad():
            wanted = graph(images)
        found = runner(images)
        assert found.shape == wanted.shape
        assert (found - wanted).abs().max() <= 1e-4 * wanted.abs().max() + 1e-5


FEW = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture], "derandomize": True}


@settings(max_examples=6, **FEW)
@given(options=NETWORKS, sizes=st.lists(st.tuples(SIDES, SIDES), min_size=2, max_size=2))
def test_to_onnx(libraries, one_thread, tmp_path, options, sizes):
    agrees(OnnxFile(), options, tmp_path, sizes)


@settings(max_examples=3, **FEW)
@given(options=NETWORKS, sizes=st.lists(st.tuples(SIDES, SIDES), min_size=2, max_size=2))
def test_to_openvino(openvino, one_thread, tmp_path, options, sizes):
    agrees(OpenVinoFile(), options, tmp_path, sizes)


@settings(max_examples=3, **FEW)
@given(options=NETWORKS, sizes=st.lists(st.tuples(SIDES, SIDES), min_size=2, max_size=2))
def test_to_pt2(one_thread, tmp_path, options, sizes):
    agrees(Pt2File(), options, tmp_path, sizes)


def test_a_network_that_decides_by_the_size_is_refused_but_for_one_size(one_thread, tmp_path):
    from kdseg import KdsegError

    class Branching(torch.nn.Conv2d):
        def forward(self, images):
            return super().forward(images) * (2.0 if images.shape[2] % 2 else 1.0)

    model = SegmentationModel(Branching(3, 3, 1), CARD).eval()
    graph = DeployedGraph(model, logits=True, seen=None).eval()

    def build(size, example):
        Pt2File().build(
            ExportContext(
                file=tmp_path / "net.pt2", module=graph, network=graph.network, example=example, size=size,
                precision="fp32", calibration=list, card=CARD,
            )
        )  # fmt: skip

    with pytest.raises(KdsegError, match=r"decides by the images' size .* --size HEIGHTxWIDTH"):
        build(None, torch.rand(2, 3, 323, 451))
    build((40, 72), torch.rand(1, 3, 40, 72))

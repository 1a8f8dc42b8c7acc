"""Any UNet of the family leaves as a file that says what it says, at sizes of every sort."""

from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kdseg import KdsegError
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


def written(exporter, graph, folder, size=None, precision="fp32"):
    """Export a graph, and open the file."""
    card = CARD | {"output": "logits" if graph.logits else "classes"}
    folded = graph.folded()
    example = torch.rand(2, 3, 323, 451) if size is None else torch.rand(1, 3, *size)
    ctx = ExportContext(
        file=folder / f"net{exporter.suffix}", module=folded, network=folded.network, size=size, precision=precision,
        example=example if graph.logits else (example * 255).to(torch.uint8), card=card,
        calibration=lambda: [example if graph.logits else (example * 255).to(torch.uint8)],
    )  # fmt: skip
    exporter.build(ctx)
    assert exporter.read(ctx.file) == card
    return exporter.open(ctx.file, RunnerContext(card=card, threads=1))


def agrees(exporter, options, folder, sizes):
    graph = DeployedGraph(SegmentationModel(settled(options), CARD), logits=True, seen=None).eval()
    runner = written(exporter, graph, folder)
    for count, (height, width) in enumerate(sizes, 1):
        images = torch.rand(count, 3, height, width)
        with torch.no_grad():
            wanted = graph(images)
        found = runner(images)
        assert found.shape == wanted.shape
        assert (found - wanted).abs().max() <= 1e-4 * wanted.abs().max() + 1e-5


FEW = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture], "derandomize": True}


@pytest.fixture(params=[OnnxFile(), OpenVinoFile(), Pt2File()], ids=lambda exporter: exporter.name)
def exporter(request):
    """Each exporter, where its libraries are installed."""
    request.getfixturevalue("openvino" if request.param.name == "openvino" else "libraries")
    return request.param


@pytest.mark.parametrize(
    "options",
    [
        UNet(base=2, downsamplings=2),
        UNet(base=3, downsamplings=1, block="depthwise", stem_stride=2, upsampling="bilinear", norm="group"),
    ],
    ids=["plain", "all else"],
)
def test_two_that_differ_in_every_option(exporter, one_thread, tmp_path, options):
    agrees(exporter, options, tmp_path, [(40, 72), (33, 57)])


@pytest.mark.slow
@settings(max_examples=6, **FEW)
@given(options=NETWORKS, sizes=st.lists(st.tuples(SIDES, SIDES), min_size=2, max_size=2))
def test_any(exporter, one_thread, tmp_path, options, sizes):
    agrees(exporter, options, tmp_path, sizes)


@pytest.mark.parametrize("stem_stride", [1, 2])
def test_of_equal_logits_the_first_class_is_taken(exporter, one_thread, tmp_path, stem_stride):
    network = settled(UNet(base=2, downsamplings=1, stem_stride=stem_stride))
    with torch.no_grad():
        network.head.weight[:] = 0  # a convolution, or a transposed one behind a stem
        network.head.bias[:] = torch.tensor([0.0, 1.0, 1.0])
    model = SegmentationModel(network, CARD)
    runner = written(exporter, DeployedGraph(model, logits=False, seen=None).eval(), tmp_path, (40, 72))
    images = torch.randint(0, 256, (1, 3, 40, 72), dtype=torch.uint8)
    assert torch.equal(runner(images), torch.ones(1, 40, 72, dtype=torch.uint8))
    network = settled(UNet(base=2, downsamplings=1, stem_stride=stem_stride))
    graph = DeployedGraph(SegmentationModel(network, CARD), logits=False, seen=None).eval()
    runner = written(exporter, graph, tmp_path, (40, 72))
    with torch.no_grad():
        assert (runner(images) == graph(images)).float().mean() > 0.999


@pytest.mark.parametrize(
    ("decides", "told"),
    [
        (lambda shape: shape[2] % 2, "does not hold at 32x32: "),
        (lambda shape: shape[2] > shape[3], "does not hold at 96x64: "),
        (lambda shape: shape[2] > 1000, "does not hold for more than 1000 images, rows or columns;"),
        (lambda shape: shape[2] * shape[3] > 1e6, "does not hold at 1500x1100: "),
        (lambda shape: shape[3] > 4 * shape[2], "does not hold at 32x4096: "),
        (lambda shape: shape[0] > 8, "does not hold for more than 8 images, rows or columns;"),
    ],
    ids=["odd", "upright", "tall", "large", "thin", "many"],
)
def test_a_network_that_decides_by_the_size_is_refused_but_for_one_size(one_thread, tmp_path, decides, told):
    class Branching(torch.nn.Conv2d):
        def forward(self, images):
            return super().forward(images) * (2.0 if decides(images.shape) else 1.0)

    model = SegmentationModel(Branching(3, 3, 1), CARD).eval()
    graph = DeployedGraph(model, logits=True, seen=None).eval()

    with pytest.raises(KdsegError, match=r"decides by the images' size .* --size HEIGHTxWIDTH") as error:
        written(Pt2File(), graph, tmp_path)
    assert told in str(error.value)
    written(Pt2File(), graph, tmp_path, (40, 72))


@pytest.mark.parametrize("exporter", [OnnxFile(), OpenVinoFile()], ids=lambda exporter: exporter.name)
@pytest.mark.parametrize("stem_stride", [2, 4])
def test_classes_decided_before_the_last_enlargement_are_the_networks_at_odd_sizes(
    request, one_thread, tmp_path, exporter, stem_stride
):
    request.getfixturevalue("openvino" if exporter.name == "openvino" else "libraries")
    network = settled(UNet(base=3, downsamplings=2, stem_stride=stem_stride))
    graph = DeployedGraph(SegmentationModel(network, CARD), logits=False, seen=None).eval()
    runner = written(exporter, graph, tmp_path)
    for count, (height, width) in enumerate([(64, 96), (37, 71), (50, 33)], 1):
        images = torch.randint(0, 256, (count, 3, height, width), dtype=torch.uint8)
        with torch.no_grad():
            wanted = graph(images)
        assert wanted.unique().numel() > 1
        assert (runner(images) == wanted).float().mean() > 0.999  # the others are equal but for rounding


@pytest.mark.parametrize("logits", [False, True], ids=["classes", "logits"])
@pytest.mark.parametrize("stem_stride", [1, 2])
def test_the_scores_of_onnx_in_int8_are_not_rounded_to_its_steps(libraries, one_thread, tmp_path, stem_stride, logits):
    import onnx

    network = settled(UNet(base=3, downsamplings=2, stem_stride=stem_stride))
    graph = DeployedGraph(SegmentationModel(network, CARD), logits=logits, seen=None).eval()
    written(OnnxFile(), graph, tmp_path, (40, 72), "int8")
    program = onnx.load(tmp_path / "net.onnx").graph
    producers = {output: node for node in program.node for output in node.output}
    decisions = [node.input[0] for node in program.node if node.op_type == "ArgMax"] or [program.output[0].name]
    for scores in decisions:
        source = producers[scores]
        while source.op_type == "Slice":
            source = producers[source.input[0]]
        assert source.op_type in ("Conv", "ConvTranspose")
    assert any(node.op_type == "QuantizeLinear" for node in program.node)

"""Classes decided before a map is enlarged are those of the enlarged map, against PyTorch, in whole numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("onnx_ir", reason="onnxscript is not installed")
onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

IN, CLASSES = 3, 5
IMAGES = (2, IN, 4, 6)


def drawn(seed, *shape):
    """Whole numbers, so that sums come out equal in whatever order, and largest scores are often several."""
    return np.random.default_rng(seed).integers(-2, 3, shape).astype(np.float32)


def network(*, stride, kernel=None, bias=True, group=1, pads=(0, 0, 0, 0), cuts=(), axis=1, keepdims=0, seed=0):
    """ONNX of a transposed convolution, cuts (axis, end), and an argmax."""
    from onnx import helper, numpy_helper

    kernel = kernel or stride
    values = {"weight": drawn(seed, IN, CLASSES, kernel, kernel) if group == 1 else drawn(seed, IN, 2, kernel, kernel)}
    if bias:
        values["bias"] = drawn(seed + 1, values["weight"].shape[1] * group)
    nodes = [
        helper.make_node(
            "ConvTranspose", ["images", *values], ["scores"],
            kernel_shape=[kernel] * 2, strides=[stride] * 2, group=group, pads=pads,
        )
    ]  # fmt: skip
    for number, (along, end) in enumerate(cuts):
        inputs = {f"starts{number}": 0, f"ends{number}": end, f"axes{number}": along}
        values |= {name: np.array([value], np.int64) for name, value in inputs.items()}
        nodes.append(helper.make_node("Slice", [nodes[-1].output[0], *inputs], [f"cut{number}"]))
    nodes.append(helper.make_node("ArgMax", [nodes[-1].output[0]], ["argmax"], axis=axis, keepdims=keepdims))
    nodes.append(helper.make_node("Cast", ["argmax"], ["classes"], to=onnx.TensorProto.UINT8))
    graph = helper.make_graph(
        nodes, "network",
        [helper.make_tensor_value_info("images", onnx.TensorProto.FLOAT, ["N", IN, "H", "W"])],
        [helper.make_tensor_value_info("classes", onnx.TensorProto.UINT8, [None] * (3 + keepdims))],
        [numpy_helper.from_array(value, name) for name, value in values.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return model, {name: torch.from_numpy(values[name]) for name in ("weight", "bias") if name in values}


def rewritten(model):
    import onnx_ir

    from kdseg_programs.onnx_argmax import decide_before_enlarging

    readable = onnx_ir.from_proto(model)
    decide_before_enlarging(readable)
    found = onnx_ir.to_proto(readable)
    onnx.checker.check_model(found, full_check=True)
    return found


def run(model, images):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"images": images})[0]


def operations(model):
    return [node.op_type for node in model.graph.node]


@settings(deadline=None, max_examples=40)
@given(
    stride=st.integers(1, 4), bias=st.booleans(), keepdims=st.integers(0, 1), seed=st.integers(0, 99),
    cuts=st.lists(st.tuples(st.sampled_from([2, 3, -1, -2]), st.integers(1, 20)), max_size=3),
)  # fmt: skip
def test_the_same_classes_come_out(stride, bias, keepdims, seed, cuts):
    model, parameters = network(stride=stride, bias=bias, keepdims=keepdims, seed=seed, cuts=cuts)
    images = drawn(seed + 2, *IMAGES)
    scores = F.conv_transpose2d(torch.from_numpy(images), **parameters, stride=stride)
    for axis, end in cuts:
        scores = scores.narrow(axis, 0, min(end, scores.shape[axis]))

    quick = rewritten(model)

    assert "ConvTranspose" not in operations(quick)
    # np.argmax names the first of equal scores; torch leaves open which.
    assert np.array_equal(run(quick, images), scores.numpy().argmax(1, keepdims=bool(keepdims)))


@pytest.mark.parametrize(
    "otherwise",
    [
        {"kernel": 3},
        {"kernel": 4, "pads": (1, 1, 1, 1)},
        {"pads": (0, 1, 0, 0)},
        {"group": 3},
        {"axis": 2},
        {"cuts": [(1, 3)]},
        {"cuts": [(2, 5), (-3, 3)]},
    ],
    ids=str,
)
def test_what_lays_out_no_squares_of_its_own_or_is_cut_by_classes_stays_as_it_is(otherwise):
    model, _ = network(stride=2, **otherwise)
    images = drawn(7, *IMAGES)

    found = rewritten(model)

    assert operations(found) == operations(model)
    assert np.array_equal(run(found, images), run(model, images))

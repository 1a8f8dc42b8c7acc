"""Classes decided before a map is enlarged rather than after, in a network written as ONNX."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

if TYPE_CHECKING:
    from collections.abc import Sequence

_CHANNELS = 1
_NOT_IN_SPACE = {0, _CHANNELS, -4, -3}


def decide_before_enlarging(model: ir.Model) -> None:
    """Take the argmax over a transposed convolution's maps while they are small, and enlarge the classes alone.

    A transposed convolution whose kernel is its stride s gives each square of s·s pixels from one cell, so it is s·s
    convolutions of 1x1, laid out in space. The largest score is the same before that, and then a byte a pixel is laid
    out in place of a score for every class. What was cut off the scores is cut off the classes.
    """
    for argmax in [node for node in model.graph if node.op_type == "ArgMax"]:
        crops, source = _what_gives(argmax)
        if source is not None and argmax.attributes.get_int("axis", 0) == _CHANNELS:
            _rewrite(model.graph, argmax, crops, source)
    RemoveUnusedNodesPass()(model)


def _what_gives(argmax: ir.Node) -> tuple[list[ir.Node], ir.Node | None]:
    """Give the crops, first first, and the transposed convolution that scores come from; None if from elsewhere."""
    crops: list[ir.Node] = []
    source = _producer(argmax)
    while source is not None and source.op_type == "Slice" and _cuts_space_alone(source):
        crops.insert(0, source)
        source = _producer(source)
    return crops, source if source is not None and _lays_out_cells(source) else None


def _producer(node: ir.Node) -> ir.Node | None:
    data = node.inputs[0]
    return None if data is None else data.producer()


def _cuts_space_alone(crop: ir.Node) -> bool:
    _data, _starts, _ends, *more = crop.inputs
    axes = ir.convenience.get_const_tensor(more[0]) if more and more[0] is not None else None
    return axes is not None and not _NOT_IN_SPACE & set(axes.numpy().tolist())


def _lays_out_cells(node: ir.Node) -> bool:
    """Whether it is a transposed convolution that makes a square of each cell, and squares never meet."""
    if node.op_type != "ConvTranspose" or any(value is None or value.const_value is None for value in node.inputs[1:]):
        return False
    told = {name: list(node.attributes.get_ints(name, ())) for name in ("kernel_shape", "strides", "dilations")}
    return (
        told["kernel_shape"] == told["strides"]
        and len(set(told["strides"])) == 1
        and set(told["dilations"]) <= {1}
        and node.attributes.get_int("group", 1) == 1
        and not any(node.attributes.get_ints("pads", ()))
        and not any(node.attributes.get_ints("output_padding", ()))
    )


def _rewrite(graph: ir.Graph, argmax: ir.Node, crops: Sequence[ir.Node], source: ir.Node) -> None:
    tape = ir.tape.Tape()
    classes = _of_cells(tape, source, argmax.attributes.get_int("select_last_index", 0))
    classes = tape.op("DepthToSpace", [classes], {"blocksize": source.attributes.get_ints("strides", ())[0]})
    for crop in crops:
        classes = tape.op("Slice", [classes, *crop.inputs[1:]])
    if not argmax.attributes.get_int("keepdims", 1):
        axes = tape.initializer(ir.tensor([_CHANNELS]), f"{argmax.outputs[0].name}_channels")
        classes = tape.op("Squeeze", [classes, axes])
    classes = tape.op("Cast", [classes], {"to": ir.DataType.INT64})
    for value in tape.initializers:
        graph.register_initializer(value)
    ir.convenience.replace_nodes_and_values(graph, argmax, [argmax], tape.nodes, [*argmax.outputs], [classes])


def _of_cells(tape: ir.tape.Tape, source: ir.Node, last_index: int) -> ir.Value:
    """Give the classes N×s·s×h×w of the pixels that each cell becomes, row by row, as bytes."""
    features, kernel, *bias = source.inputs
    assert kernel is not None
    assert kernel.const_value is not None
    weights = kernel.const_value.numpy()
    stride = weights.shape[-1]
    found = []
    for row, column in ((row, column) for row in range(stride) for column in range(stride)):
        weight = ir.tensor(weights[:, :, row, column].T[:, :, None, None].copy())
        named = tape.initializer(weight, f"{kernel.name}_{row}_{column}")
        scores = tape.op("Conv", [features, named, *bias], {"kernel_shape": [1, 1]})
        chosen = {"axis": _CHANNELS, "keepdims": 1, "select_last_index": last_index}
        # ArgMax gives eight bytes a pixel, of which a class needs one.
        found.append(tape.op("Cast", [tape.op("ArgMax", [scores], chosen)], {"to": ir.DataType.UINT8}))
    return tape.op("Concat", found, {"axis": _CHANNELS})

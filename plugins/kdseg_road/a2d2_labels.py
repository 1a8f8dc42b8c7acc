"""The labels of A2D2 (Geyer et al. 2020, arXiv:2004.06320), as its class_list.json defines them."""

from __future__ import annotations

from kdseg.data.samples import ClassTable

_COLOURS = {
    "Car": "ff0000 c80000 960000 800000",
    "Bicycle": "b65906 963204 5a1e01 5a1e1e",
    "Pedestrian": "cc99ff bd499b ef59bf",
    "Truck": "ff8000 c88000 968000",
    "Small vehicles": "00ff00 00c800 009600",
    "Traffic signal": "0080ff 1e1c9e 3c1c64",
    "Traffic sign": "00ffff 1edcdc 3c9dc7",
    "Utility vehicle": "ffff00 ffffc8",
    "Sidebars": "e96400",
    "Speed bumper": "6e6e00",
    "Curbstone": "808000",
    "Solid line": "ffc125",
    "Irrelevant signs": "400040",
    "Road blocks": "b97a57",
    "Tractor": "000064",
    "Non-drivable street": "8b636c",
    "Zebra crossing": "d23273",
    "Obstacles / trash": "ff0080",
    "Poles": "fff68f",
    "RD restricted area": "960096",
    "Animals": "ccff99",
    "Grid structure": "eea2ad",
    "Signal corpus": "212cb1",
    "Drivable cobblestone": "b432b4",
    "Electronic traffic": "ff46b9",
    "Slow drive area": "eee9bf",
    "Nature object": "93fdc2",
    "Parking area": "9696c8",
    "Sidewalk": "b496c8",
    "Ego car": "48d1cc",
    "Painted driv. instr.": "c87dd2",
    "Traffic guide obj.": "9f79ee",
    "Dashed line": "8000ff",
    "RD normal street": "ff00ff",
    "Sky": "87ceff",
    "Buildings": "f1e6ff",
    "Blurred area": "60458f",
    "Rain dirt": "352e52",
}
"""Of each of the paper's 38 classes its colours: class_list.json has "Car 1" to "Car 4", so that neighbours differ."""


def _rgb(code: int) -> tuple[int, int, int]:
    return code >> 16, code >> 8 & 255, code & 255


A2D2_CODES = {int(code, 16): index for index, codes in enumerate(_COLOURS.values()) for code in codes.split()}
"""The class of each colour, which is packed into one number: 0xRRGGBB."""

A2D2 = ClassTable(names=tuple(_COLOURS), colours=tuple(_rgb(int(codes.split()[0], 16)) for codes in _COLOURS.values()))

A2D2_AS_CITYSCAPES = {
    "road": (
        *("RD normal street", "Drivable cobblestone", "Speed bumper"),
        *("Solid line", "Dashed line", "Zebra crossing", "Painted driv. instr."),
    ),
    "sidewalk": ("Sidewalk", "Curbstone"),
    "building": ("Buildings",),
    "pole": ("Poles",),
    "traffic light": ("Traffic signal", "Signal corpus"),
    "traffic sign": ("Traffic sign",),
    "sky": ("Sky",),
    "person": ("Pedestrian",),
    "car": ("Car",),
    "truck": ("Truck",),
    "bicycle": ("Bicycle",),
}
"""By the class definitions of Cityscapes (www.cityscapes-dataset.com/dataset-overview). A2D2 parts neither trees from
grass ("Nature object") nor motorcycles from other small vehicles, so these are in none.
"""

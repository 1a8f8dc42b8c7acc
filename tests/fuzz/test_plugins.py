"""Plugin packages broken in every way: `list-plugins` tells each by name, and all others work."""

from __future__ import annotations

import json
import os
import random
import sys
from pathlib import Path

import pytest

from kdseg.testing import fake_dist, on_path

GOOD = '''
from typing import Annotated, ClassVar

from attrs import field, frozen

from kdseg import Backbone, hookimpl


@frozen(kw_only=True)
class Net(Backbone):
    """One convolution."""

    name: ClassVar[str] = "NAME"
    width: Annotated[int, "channels"] = 3

    def build(self, ctx):
        from torch import nn

        return nn.Conv2d(ctx.in_channels, ctx.num_classes, 1)


@hookimpl
def kdseg_backbones():
    return [Net]
'''
IN_CLASS = {
    "name of wrong type": ('"NAME"', "3"),
    "name with a slash": ('"NAME"', '"a/b"'),
    "empty name": ('"NAME"', '""'),
    "name of other letters": ('"NAME"', '"ünet"'),
    "name with an escape": ('"NAME"', '"a\\x1b[31m"'),
    "very long name": ('"NAME"', '"a" * 100_000'),
    "name that is a property": ('name: ClassVar[str] = "NAME"', "name = property(lambda self: 1 / 0)"),
    "broken annotation": ("Annotated[int,", "Annotated[nowhere.to_be_found,"),
    "annotation that is no type": ("Annotated[int,", "Annotated[3,"),
    "annotation without help": ('Annotated[int, "channels"]', "int"),
    "annotation that fails": ('Annotated[int, "channels"]', '"1 / 0"'),
    "annotation that calls": ('Annotated[int, "channels"]', '"exit(3)"'),
    "annotation of nothing": ('Annotated[int, "channels"]', "None"),
    "empty tuple": ("Annotated[int,", "Annotated[tuple[()],"),
    "bare dict": ("Annotated[int,", "Annotated[dict,"),
    "bare union": ("Annotated[int,", "Annotated[int | str | None,"),
    "callable": ("Annotated[int,", "Annotated[callable,"),
    "default of another type": ("] = 3", '] = "three"'),
    "default that is no number": ("] = 3", '] = float("nan")'),
    "default that fails": ("] = 3", "] = field(factory=lambda: 1 / 0)"),
    "default that exits": ("] = 3", "] = field(factory=lambda: exit(3))"),
    "default whose repr fails": ("] = 3", '] = type("X", (), {"__repr__": lambda self: 1 / 0})()'),
    "default of another option": (
        "] = 3",
        "] = field(default=__import__('attrs').Factory(lambda self: 1, takes_self=True))",
    ),
    "no docstring": ('"""One convolution."""', ""),
    "requires of wrong type": ("    width:", "    requires = 7\n    width:"),
    "metaclass whose repr fails": (
        "class Net(Backbone)",
        "class Net(Backbone, metaclass=type('M', (type,), {'__repr__': lambda s: 1 / 0}))",
    ),
}
RETURNED = [
    "None", "3", '"Net"', "Net", "[Net()]", "[Net, Net]", "[None]", "[3, Net]", "{}", "(x for x in [Net])", "[int]",
    "iter([])",
    "[Net] * 5000", "[object]", "[Backbone]", "[[Net]]", "1 / 0", "exit()", "print('hello')",
    "[type('X', (), {'__repr__': lambda s: 1 / 0})()]",
    "type('X', (), {'__iter__': lambda s: 1 / 0})()", "kdseg_backbones()", "raise_()", "globals()",
    "type('N', (Net,), {'name': 'NAME'})",
]  # fmt: skip
MODULES = {
    "syntax error": "def (:\n",
    "null byte": "x = 1\0\n",
    "bad indentation": "def f():\nreturn 1\n",
    "deep expression": "x = " + "(" * 500 + ")" * 500 + "\n",
    "recursion": "def f():\n    f()\nf()\n",
    "raises a strange error": "class E(Exception):\n    def __str__(self):\n        return 1 / 0\nraise E\n",
    "raises with lines": 'raise ValueError("one\\ntwo\\n\\x1b[31mthree")\n',
    "raises a group": 'raise ExceptionGroup("several", [ValueError(1), TypeError(2)])\n',
    "memory error": "raise MemoryError\n",
    "generator exit": "raise GeneratorExit\n",
    "base exception": "raise BaseException('odd')\n",
    "asks for input": "input()\n",
    "prints": "print('hello')\nimport sys\nsys.stderr.write('noise')\n",
    "warns": "import warnings\nwarnings.warn('old', DeprecationWarning)\nwarnings.warn('new')\n",
    "replaces itself": "import sys\nsys.modules[__name__] = 3\n",
    "removes itself": "import sys\ndel sys.modules[__name__]\n",
    "imports itself": "import MODULE\nMODULE.nothing\n",
    "changes the folder": "import os\nos.chdir('/')\n",
    "changes the path": "import sys\nsys.path.insert(0, '/nowhere')\n",
    "no hook": "x = 1\n",
    "hook of another name": "from kdseg import hookimpl\n@hookimpl\ndef kdseg_nothing():\n    return []\n",
    "hook without mark": "def kdseg_losses():\n    return []\n",
    "hook with an argument": "from kdseg import hookimpl\n@hookimpl\ndef kdseg_losses(this, that):\n    return []\n",
    "hook that is no function": "from kdseg import hookimpl\nkdseg_losses = hookimpl(3)\n",
    "wrapper": "from kdseg import hookimpl\n@hookimpl(wrapper=True)\ndef kdseg_losses():\n    yield\n",
    "old wrapper": "from kdseg import hookimpl\n@hookimpl(hookwrapper=True)\ndef kdseg_losses():\n    yield\n",
    "async hook": "from kdseg import hookimpl\n@hookimpl\nasync def kdseg_losses():\n    return []\n",
    "attributes that fail": "def __getattr__(name):\n    raise ValueError(name)\n",
    "attributes of all names": "def __getattr__(name):\n    return 3\n",
    "dir that fails": "def __dir__():\n    raise ValueError\n",
}
POINTS = [
    "MODULE:nothing", "MODULE:a.b.c", "MODULE:", ":x", "MODULE.nothing", "no.such.module", "", ".", "..", "a b",
    "MODULE [extra]", "ä",
    "MODULE:kdseg_backbones", "os:path", "sys", "builtins", "kdseg", "MODULE:__doc__", "x" * 5000, "1",
    "torch_is_not_here", "MODULE:Net",
]  # fmt: skip


@pytest.fixture
def listed(kdseg, folder):
    """Install a distribution beside a sound one, list the plugins, and give what is told of the first."""

    def listed(files, point="kdseg_odd", entry="plug", change=None):
        with on_path(folder / "site"):
            fake_dist(folder / "site", "kdseg-odd", entry_points={entry: point}, files=files)
            fake_dist(
                folder / "site",
                "kdseg-sound",
                entry_points={"plug": "kdseg_sound"},
                files={"kdseg_sound.py": GOOD.replace("NAME", "soundnet")},
            )
            if change is not None:
                change(folder / "site")
            path, where = [*sys.path], Path.cwd()
            try:
                status, out, err = kdseg("list-plugins", "--json")
                plain = kdseg("list-plugins")
            finally:
                sys.path[:] = path
                os.chdir(where)
        assert status == plain.status == 0, err
        assert "Traceback" not in out + err + plain.out + plain.err
        told = json.loads(out[out.index("{\n") :])
        names = {entry["qualified"] for entries in told["kinds"].values() for entry in entries}
        assert {"kdseg-sound/soundnet", "kdseg/unet1m", "kdseg/camvid"} <= names
        assert all(
            plugin["status"] == "ok" for plugin in told["plugins"] if plugin["distribution"] in ("kdseg", "kdseg-sound")
        )
        odd = [plugin for plugin in told["plugins"] if plugin["distribution"] == "kdseg-odd"]
        for plugin in odd:
            for problem in plugin["problems"]:
                assert problem in plain.out
                assert problem.isprintable()
                assert len(problem) < 2000
        return odd

    return listed


@pytest.mark.parametrize("fault", IN_CLASS)
def test_a_broken_component_is_told(listed, fault):
    good, bad = IN_CLASS[fault]
    assert GOOD.count(good) == 1
    (odd,) = listed({"kdseg_odd.py": GOOD.replace(good, bad)})
    assert odd["problems"]
    assert not odd["components"]


@pytest.mark.parametrize("returned", RETURNED)
def test_whatever_a_hook_returns_is_told_or_taken(listed, returned):
    (odd,) = listed({"kdseg_odd.py": GOOD.replace("return [Net]", f"return {returned}").replace("NAME", "oddnet")})
    taken = {"kdseg-odd/oddnet"} & {component.split()[-1] for component in odd["components"]}
    assert odd["problems"] or taken or returned in ("{}", "iter([])")


@pytest.mark.parametrize("fault", MODULES)
@pytest.mark.filterwarnings("ignore:old", "ignore:new", "ignore:coroutine")
def test_a_broken_module_is_told(listed, fault):
    (odd,) = listed({"kdseg_odd.py": MODULES[fault].replace("MODULE", "kdseg_odd")})
    assert odd["status"] == "failed"
    assert odd["problems"]


@pytest.mark.parametrize("point", POINTS)
def test_an_entry_point_that_leads_nowhere_is_told(listed, point):
    odd = listed({"kdseg_odd.py": GOOD.replace("NAME", "oddnet")}, point.replace("MODULE", "kdseg_odd"))
    assert all(plugin["problems"] or plugin["components"] for plugin in odd)


@pytest.mark.parametrize("entry", ["", " ", "[x]", "ä", "a b", "a:b", "a/b", "..", "x" * 3000, "#", "\x1b[31m"])
def test_an_entry_point_of_any_name_is_told_or_taken(listed, entry):
    listed({"kdseg_odd.py": GOOD.replace("NAME", "oddnet")}, entry=entry)


def info(site):
    return next(site.glob("kdseg_odd-*"))


METADATA = {
    "missing": lambda site: (info(site) / "METADATA").unlink(),
    "empty": lambda site: (info(site) / "METADATA").write_bytes(b""),
    "no UTF-8": lambda site: (info(site) / "METADATA").write_bytes(b"Name: \xff\xfe\nVersion: 1\n"),
    "noise": lambda site: (info(site) / "METADATA").write_bytes(random.Random(0).randbytes(500)),
    "no version": lambda site: (info(site) / "METADATA").write_text("Metadata-Version: 2.1\nName: kdseg-odd\n"),
    "no name": lambda site: (info(site) / "METADATA").write_text("Metadata-Version: 2.1\nVersion: 1\n"),
    "a folder": lambda site: ((info(site) / "METADATA").unlink(), (info(site) / "METADATA").mkdir()),
    "entry points of noise": lambda site: (info(site) / "entry_points.txt").write_bytes(
        random.Random(0).randbytes(500)
    ),
    "entry points without a group": lambda site: (info(site) / "entry_points.txt").write_text("plug = kdseg_odd\n"),
    "entry points without a value": lambda site: (info(site) / "entry_points.txt").write_text("[kdseg]\nplug\n"),
    "entry points twice": lambda site: (info(site) / "entry_points.txt").write_text(
        "[kdseg]\nplug = kdseg_odd\nplug = kdseg_odd\n"
    ),
    "entry points missing": lambda site: (info(site) / "entry_points.txt").unlink(),
}


@pytest.mark.parametrize("fault", METADATA)
def test_broken_metadata_harm_no_other_plugin(listed, fault):
    listed({"kdseg_odd.py": GOOD.replace("NAME", "oddnet")}, change=METADATA[fault])


@pytest.mark.slow
def test_hundreds_of_damaged_modules_harm_no_other_plugin(listed, folder, damage, capsys):
    import shutil

    good = GOOD.replace("NAME", "oddnet").encode()
    refused = 0
    for number in range(600):
        shutil.rmtree(folder / "site", ignore_errors=True)
        content = damage(damage(good, random.Random(number)), random.Random(-number))
        odd = listed(
            {"kdseg_odd.py": ""}, change=lambda site, content=content: (site / "kdseg_odd.py").write_bytes(content)
        )
        refused += bool(odd[0]["problems"])
    with capsys.disabled():
        sys.stdout.write(f"\n600 inputs tried, {refused} told, {600 - refused} accepted\n")

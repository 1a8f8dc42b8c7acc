"""Plugins with every fault: each is told by name, none harms another, and the main job still runs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import NamedTuple

import pytest

from kdseg.testing import fake_dist, on_path

BACKBONE = '''
from typing import ClassVar

from attrs import frozen

from kdseg import Backbone, hookimpl


@frozen(kw_only=True)
class Net(Backbone):
    """One convolution."""

    name: ClassVar[str] = "{name}"

    def build(self, ctx):
        from torch import nn

        return nn.Conv2d(ctx.in_channels, ctx.num_classes, 1)


@hookimpl
def kdseg_backbones():
    return [Net]
'''
MALFORMED = '''
from typing import Annotated

from kdseg import Loss, hookimpl


class Half(Loss):
    """No attrs class, without a name."""


@hookimpl
def kdseg_losses():
    return [Half]
'''


HOOKS = (
    "kdseg_backbones, kdseg_datasets, kdseg_losses, kdseg_ensembles, kdseg_gates, kdseg_metrics, kdseg_diagnostics, "
    "kdseg_callbacks, kdseg_exporters"
)


class Fault(NamedTuple):
    """One distribution: its module, and the status and the problems that `list-plugins` tells."""

    source: str
    status: str
    problems: tuple[str, ...]


FAULTS = {
    "kdseg-at-import": Fault(
        "import kdseg\n\nkdseg.no_such_thing\n",
        "failed",
        ("AttributeError: module 'kdseg' has no attribute 'no_such_thing' ({file}:3)",),
    ),
    "kdseg-in-hook": Fault(
        BACKBONE.format(name="halfnet").replace("    return [Net]", "    yield Net\n    raise OSError('no weights')"),
        "failed",
        ("kdseg_backbones: OSError: no weights ({file}:24)",),
    ),
    "kdseg-exits": Fault("import sys\n\nsys.exit(1)\n", "failed", ("it ends the program (sys.exit(1)) ({file}:3)",)),
    "kdseg-exits-in-hook": Fault(
        BACKBONE.format(name="exitnet").replace("    return [Net]", "    raise SystemExit"),
        "failed",
        ("kdseg_backbones: it ends the program (sys.exit(None)) ({file}:23)",),
    ),
    "kdseg-malformed": Fault(
        MALFORMED,
        "ok",
        ("loss Half: it is no attrs class; put `@frozen(kw_only=True)` (from attrs) above the class itself",),
    ),
    "kdseg-misspelt-hook": Fault(
        BACKBONE.format(name="lostnet").replace("def kdseg_backbones", "def kdseg_backbone"),
        "failed",
        (
            f"unknown hook 'kdseg_backbone'; did you mean 'kdseg_backbones'?; the hooks are {HOOKS}",
            f"it implements no hook; implement one of {HOOKS}",
        ),
    ),
    "kdseg-clash": Fault(BACKBONE.format(name="unet1m_fast"), "ok", ()),
}


def module_of(distribution: str) -> str:
    """Name the module of a distribution."""
    return distribution.replace("-", "_")


def install(folder, sources):
    """Install distributions, each with one module and one plugin called ``plug``."""
    for distribution, source in sources.items():
        module = module_of(distribution)
        fake_dist(folder, distribution, entry_points={"plug": module}, files={f"{module}.py": source})


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder where a distribution with every fault is installed."""
    folder = tmp_path_factory.mktemp("site")
    install(folder, {distribution: fault.source for distribution, fault in FAULTS.items()})
    return folder


@pytest.fixture
def faulty(site):
    """Have them all installed."""
    with on_path(site):
        yield site


def reported(out):
    """Read what `list-plugins` prints of plugins with problems: by distribution, its status and its problems."""
    blocks = re.findall(r"^plugin (\S+):plug 1\.0: (\w+)\n((?:  .+\n)+)", out, flags=re.MULTILINE)
    return {name: (status, tuple(line.strip() for line in told.splitlines())) for name, status, told in blocks}


# Each is told by name


def test_list_plugins_tells_each_fault_by_name_and_place(kdseg, faulty):
    status, out, err = kdseg("list-plugins")
    assert (status, err) == (0, "")
    assert reported(out) == {
        distribution: (
            fault.status,
            tuple(problem.format(file=faulty / f"{module_of(distribution)}.py") for problem in fault.problems),
        )
        for distribution, fault in FAULTS.items()
        if fault.problems
    }


def test_a_clash_shows_both_names_and_neither_bare(kdseg, faulty):
    names = [line.split()[0] for line in kdseg("list-plugins").out.splitlines() if line.startswith("  ")]
    assert "unet1m_fast" not in names
    assert {"kdseg/unet1m_fast", "kdseg-clash/unet1m_fast", "unet1m", "unet70m"} <= {*names}


def test_all_that_the_bundled_plugins_offer_is_still_there(kdseg, site):
    def offered():
        kinds = json.loads(kdseg("list-plugins", "--json").out)["kinds"]
        return {(kind, entry["qualified"]) for kind, entries in kinds.items() for entry in entries}

    before = offered()
    with on_path(site):
        after = offered()
    assert after - before == {("backbone", "kdseg-clash/unet1m_fast")}
    assert before - after == set()


@pytest.mark.parametrize(
    ("distribution", "name"), [("kdseg-at-import", "net"), ("kdseg-in-hook", "halfnet"), ("kdseg-exits", "net")]
)
def test_a_recipe_that_needs_a_faulty_plugin_names_it(kdseg, faulty, distribution, name):
    wanted = f"models.student.backbone={distribution}/{name}"
    status, out, err = kdseg("check", "--quick", "online_alternating", "--set", wanted)
    assert (status, out) == (2, "")
    (problem,) = FAULTS[distribution].problems
    cause = problem.format(file=faulty / f"{module_of(distribution)}.py")
    assert err.startswith(f"--set: models.student.backbone: unknown backbone '{distribution}/{name}'; ")
    assert err.endswith(f"; it may come from plugin {distribution}:plug 1.0 (failed: {cause})\n")


# The main job

SHRUNK = [
    "train.steps_of.student=2",
    "train.batch_size=2",
    "train.workers=0",
    "data.train.images=4",
    "data.val.images=2",
    "models.teacher.backbone.base=4",
]


def settings(*more):
    return [word for setting in (*SHRUNK, *more) for word in ("--set", setting)]


def test_the_main_job_runs_with_all_faults_installed(kdseg, faulty, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, err = kdseg("run", "online_alternating", "--json", *settings())
    assert status == 0, err
    assert "Traceback" not in err
    run = Path(json.loads(out)["folder"])
    assert (run / "models/student/best.safetensors").exists()
    plugins = json.loads((run / "environment.json").read_text(encoding="utf-8"))["plugins"]
    found = {plugin["distribution"]: plugin["status"] for plugin in plugins}
    assert found == {distribution: fault.status for distribution, fault in FAULTS.items()} | {"kdseg": "ok"}


@pytest.fixture
def rival(tmp_path):
    """Install a plugin that offers the main job's student, too."""
    with on_path(tmp_path / "site") as folder:
        install(folder, {"kdseg-rival": BACKBONE.format(name="unet1m")})
        yield


def test_a_rival_of_the_student_is_told_with_both_names(kdseg, rival):
    status, out, err = kdseg("run", "online_alternating")
    assert (status, out) == (2, "")
    told = "backbone 'unet1m' is offered by several plugins; write 'kdseg/unet1m' or 'kdseg-rival/unet1m'"
    assert re.fullmatch(rf"\S+online_alternating\.toml:\d+: models\.student\.backbone: {re.escape(told)}\n", err)


def test_with_a_rival_of_the_student_the_qualified_names_run(kdseg, rival, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("kdseg/unet1m", "kdseg-rival/unet1m"):
        chosen = settings(f"models.student.backbone={name}")
        status, out, err = kdseg("run", "online_alternating", "--json", *chosen)
        assert status == 0, err
        assert json.loads(out)["participants"]["student"]["backbone"] == name


# What a component raises as it is made is told by every verb that makes it

UNBUILT = '''
from typing import ClassVar

from attrs import frozen

from kdseg import Backbone, Dataset, Metric, hookimpl


@frozen(kw_only=True)
class Net(Backbone):
    """Fails."""

    name: ClassVar[str] = "unbuilt"

    def build(self, ctx):
        raise ValueError("no good")

    @classmethod
    def variants(cls):
        return [cls()]


@frozen(kw_only=True)
class Family(Net):
    """Knows no family."""

    name: ClassVar[str] = "unknown_family"

    @classmethod
    def variants(cls):
        raise LookupError("no family")


@frozen(kw_only=True)
class Benchmark(Dataset):
    """Says nonsense of its benchmark."""

    name: ClassVar[str] = "nonsense"
    submission: ClassVar = 3

    def build(self, ctx):
        raise NotImplementedError


@hookimpl
def kdseg_backbones():
    return [Net, Family]


@hookimpl
def kdseg_datasets():
    return [Benchmark]
'''


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("profile", "unbuilt"), "backbone kdseg-unbuilt/unbuilt: ValueError: no good"),
        (
            ("fit-student", "--backbone", "unbuilt", "--params", "1e6"),
            "backbone kdseg-unbuilt/unbuilt: ValueError: no good",
        ),
        (
            ("fit-student", "--backbone", "unknown_family", "--params", "1e6"),
            "backbone kdseg-unbuilt/unknown_family: LookupError: no family",
        ),
        (
            ("predict", "MODEL", "road.png", "--format", "nonsense"),
            "the dataset 'nonsense': its submission is 3, no kdseg.Submission",
        ),
    ],
    ids=["profile", "fit-student", "family", "predict"],
)
def test_what_a_component_raises_is_told_in_one_line(kdseg, tmp_path, monkeypatch, words, told):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "MODEL").touch()
    install(tmp_path / "site", {"kdseg-unbuilt": UNBUILT})
    with on_path(tmp_path / "site"):
        status, out, err = kdseg(*words)
    assert (status, out, err) == (2, "", f"{told}\n")

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from kdseg.errors import KdsegError
from kdseg.plugins import load_plugins
from kdseg.registry import check_requirements
from kdseg.testing import fake_dist, on_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from kdseg.plugins import PluginReport, Plugins

HEAD = """
from typing import Annotated, ClassVar
from attrs import frozen
from kdseg import Backbone, Loss, hookimpl
"""
NET = """
@frozen(kw_only=True)
class Net(Backbone):
    \"\"\"A small net.\"\"\"

    name: ClassVar[str] = "tinynet"
    base: Annotated[int, "channels"] = 12

    def build(self, ctx):
        raise NotImplementedError
"""
HOOK = """
@hookimpl
def kdseg_backbones():
    return [Net]
"""
GOOD = HEAD + NET + HOOK


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Give a folder on the path, whose modules are forgotten afterwards."""
    with on_path(tmp_path / "site") as site:
        yield site


@pytest.fixture
def loaded(folder: Path) -> Callable[[str], tuple[PluginReport, Plugins]]:
    """Install one plugin of a given source and load it, beside a sound one."""

    def load(source: str) -> tuple[PluginReport, Plugins]:
        fake_dist(folder, "kdseg-mine", entry_points={"mine": "kdseg_mine"}, files={"kdseg_mine.py": source})
        sound = GOOD.replace("tinynet", "soundnet")
        fake_dist(folder, "kdseg-sound", entry_points={"sound": "kdseg_sound"}, files={"kdseg_sound.py": sound})
        plugins = load_plugins()
        report_of(plugins, "kdseg-sound")
        assert plugins.registry.find("backbone", "soundnet").distribution == "kdseg-sound"
        return report_of(plugins, "kdseg-mine"), plugins

    return load


def report_of(plugins: Plugins, distribution: str) -> PluginReport:
    """Give the one report of a distribution."""
    (report,) = [report for report in plugins.reports if report.distribution == distribution]
    return report


def test_a_good_plugin_brings_its_component_with_provenance(loaded):
    report, plugins = loaded(GOOD)
    assert (report.status, report.name, report.version, report.problems) == ("ok", "mine", "1.0", ())
    entry = plugins.registry.find("backbone", "tinynet")
    assert report.components == (entry,)
    assert (entry.plugin, entry.distribution, entry.version) == ("mine", "kdseg-mine", "1.0")
    assert entry.qualified == "kdseg-mine/tinynet"
    assert entry.path is None


def test_loading_twice_gives_the_same_classes(loaded):
    _, plugins = loaded(GOOD)
    again = load_plugins().registry.find("backbone", "tinynet")
    assert again == plugins.registry.find("backbone", "tinynet")


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        pytest.param("import no_such_library", "ModuleNotFoundError: No module named 'no_such_library'", id="import"),
        pytest.param("\ndef broken(:", "SyntaxError: invalid syntax (kdseg_mine.py, line 2)", id="syntax"),
        pytest.param("import sys\nsys.exit(3)", "it ends the program (sys.exit(3))", id="exit at import"),
        pytest.param(
            HEAD + "@hookimpl\ndef kdseg_losses():\n    return 1 // 0",
            "kdseg_losses: ZeroDivisionError: integer division or modulo by zero",
            id="raising hook",
        ),
        pytest.param(
            HEAD + "@hookimpl\ndef kdseg_losses():\n    yield from ()\n    raise RuntimeError('two\\nlines')",
            "kdseg_losses: RuntimeError: two lines",
            id="raising generator",
        ),
        pytest.param(
            HEAD + "@hookimpl\ndef kdseg_losses():\n    raise SystemExit",
            "kdseg_losses: it ends the program (sys.exit(None))",
            id="exit in hook",
        ),
        pytest.param(
            HEAD + "@hookimpl\ndef kdseg_losses():\n    pass",
            "kdseg_losses returned None; return a list of Loss classes",
            id="no return",
        ),
        pytest.param(
            HEAD + "@hookimpl\ndef kdseg_losses(ctx):\n    return []",
            "PluginValidationError: Plugin 'kdseg-mine:mine' for hook 'kdseg_losses'",
            id="argument",
        ),
        pytest.param(HEAD + NET, "it implements no hook; implement one of kdseg_backbones,", id="no hook"),
        pytest.param(
            HEAD + NET + "def kdseg_backbones():\n    return [Net]",
            "put `@hookimpl` (from kdseg) above it",
            id="unmarked hook",
        ),
    ],
)
def test_a_failing_plugin_is_reported_and_harms_no_other(loaded, source, problem):
    report, plugins = loaded(source)
    assert report.status == "failed"
    assert any(problem in line for line in report.problems), report.problems
    assert not any("\n" in line for line in report.problems)
    with pytest.raises(KdsegError, match=r"it may come from .*plugin kdseg-mine:mine 1\.0 \(failed: "):
        plugins.registry.find("loss", "wanted")


def test_the_cause_names_the_plugins_file_and_line(loaded, folder):
    report, _ = loaded("\n\nraise RuntimeError('here')")
    assert report.problems == (f"RuntimeError: here ({folder / 'kdseg_mine.py'}:3)",)


def test_ctrl_c_is_not_held_back(folder):
    fake_dist(
        folder, "kdseg-mine", entry_points={"m": "kdseg_mine"}, files={"kdseg_mine.py": "raise KeyboardInterrupt"}
    )
    with pytest.raises(KeyboardInterrupt):
        load_plugins()


def test_an_unknown_hook_is_told_and_the_known_ones_work(loaded):
    report, plugins = loaded(GOOD + "@hookimpl\ndef kdseg_backbone():\n    return [Net]\n")
    assert report.status == "ok"
    assert "unknown hook 'kdseg_backbone'; did you mean 'kdseg_backbones'?" in report.problems[0]
    assert plugins.registry.find("backbone", "tinynet")


def test_one_raising_hook_leaves_the_others_of_the_plugin(loaded):
    report, plugins = loaded(GOOD + "@hookimpl\ndef kdseg_losses():\n    raise ValueError('no')\n")
    assert report.status == "failed"
    assert plugins.registry.find("backbone", "tinynet") in report.components


def test_a_malformed_component_is_told_and_the_others_work(loaded):
    bad = NET.replace("class Net", "class Odd").replace('"tinynet"', '"Odd Net"')
    report, plugins = loaded(HEAD + NET + bad + "@hookimpl\ndef kdseg_backbones():\n    return [Odd, Net]\n")
    assert report.status == "ok"
    assert len(report.problems) == 1
    assert report.problems[0].startswith("backbone Odd: its name 'Odd Net' does not fit; use ")
    assert [entry.name for entry in report.components] == ["tinynet"]
    with pytest.raises(KdsegError, match=r"may come from .*kdseg-mine:mine 1\.0 \(backbone Odd: its name"):
        plugins.registry.find("backbone", "oddnet")


def test_a_component_without_help_for_its_options_works_and_its_plugin_is_reminded(loaded):
    report, plugins = loaded(GOOD.replace('Annotated[int, "channels"]', "int"))
    assert plugins.registry.find("backbone", "tinynet") in report.components
    told = "backbone Net: option 'base' has no help; write `base: Annotated[int, \"its help\"]`"
    assert (report.status, report.problems) == ("ok", (told,))
    with pytest.raises(KdsegError, match="unknown backbone 'othernet'") as unknown:
        plugins.registry.find("backbone", "othernet")
    assert "kdseg-mine" not in str(unknown.value)  # a remark costs no component


@pytest.mark.parametrize("name", ["tinynet", "kdseg-mine/tinynet"])
def test_a_refused_component_is_told_with_plugin_and_reason_where_it_is_named(loaded, name):
    _, plugins = loaded(GOOD.replace("base: Annotated[int,", "base: Annotated[complex,").replace("A small net.", ""))
    with pytest.raises(KdsegError) as told:
        plugins.registry.find("backbone", name)
    text = str(told.value)
    assert text.startswith(f"backbone {name!r} cannot be used: plugin kdseg-mine:mine 1.0: Net: it has no docstring")
    assert "; option 'base': complex is no type of an option; " in text
    assert "\n" not in text


def test_another_plugins_component_of_a_refused_ones_name_is_found(loaded):
    _, plugins = loaded(GOOD.replace("tinynet", "soundnet").replace("A small net.", ""))
    assert plugins.registry.find("backbone", "soundnet").distribution == "kdseg-sound"


@pytest.mark.parametrize("handed", ["Net()", "'tinynet'", "Loss", "7"])
def test_a_hook_must_hand_over_classes_of_its_kind(loaded, handed):
    report, _ = loaded(HEAD + NET + f"@hookimpl\ndef kdseg_backbones():\n    return [{handed}, Net]\n")
    assert "kdseg_backbones handed over" in report.problems[0]
    assert "hand over classes whose base is Backbone" in report.problems[0]
    assert len(report.components) == 1


def test_a_class_that_cannot_be_read_is_the_plugins_fault_alone(loaded):
    evil = NET.replace("12", "field(factory=lambda: exit(5))").replace("class Net", "class Evil")
    report, _ = loaded(
        HEAD + "from attrs import field\n" + NET + evil + "@hookimpl\ndef kdseg_backbones():\n    return [Evil, Net]\n"
    )
    assert report.problems[0].startswith("backbone Evil: it ends the program (sys.exit(5))")
    assert [entry.name for entry in report.components] == ["tinynet"]


def test_equal_names_of_two_distributions_are_ambiguous_only_when_used(folder):
    for name in ("kdseg-one", "Kdseg_Two"):
        module = name.lower().replace("-", "_")
        fake_dist(folder, name, entry_points={"net": module}, files={f"{module}.py": GOOD})
    plugins = load_plugins()
    assert report_of(plugins, "kdseg-one").status == report_of(plugins, "kdseg-two").status == "ok"
    with pytest.raises(KdsegError, match="'kdseg-one/tinynet' or 'kdseg-two/tinynet'"):
        plugins.registry.find("backbone", "tinynet")
    assert plugins.registry.find("backbone", "kdseg-two/tinynet").cls.__module__ == "kdseg_two"


def test_a_module_that_two_distributions_name_is_one_plugin(folder):
    fake_dist(folder, "kdseg-one", entry_points={"net": "shared"}, files={"shared.py": GOOD})
    fake_dist(folder, "kdseg-two", entry_points={"net": "shared"}, files={})
    plugins = load_plugins()
    assert plugins.registry.find("backbone", "tinynet").qualified == "kdseg-one/tinynet"
    assert "its module is the plugin kdseg-one:net already" in report_of(plugins, "kdseg-two").problems[0]


def test_a_name_offered_by_two_plugins_of_one_distribution_counts_for_neither(folder):
    files = {"m_one.py": GOOD, "m_two.py": GOOD + NET.replace("Net(", "Other(").replace("tinynet", "other")}
    files["m_two.py"] += "@hookimpl(specname='kdseg_backbones')\ndef more():\n    return [Other]\n"
    fake_dist(folder, "kdseg-mine", entry_points={"one": "m_one", "two": "m_two"}, files=files)
    plugins = load_plugins()
    one, two = (report for report in plugins.reports if report.distribution == "kdseg-mine")
    assert [entry.name for entry in one.components] == []
    assert [entry.name for entry in two.components] == ["other"]
    for report in (one, two):
        assert "backbone 'tinynet' (Net): kdseg-mine offers this name more than once" in report.problems[0]
    with pytest.raises(
        KdsegError, match=r"plugin kdseg-mine:one 1\.0: Net: .* more than once.* and .*mine:two 1\.0: Net"
    ):
        plugins.registry.find("backbone", "kdseg-mine/tinynet")


def test_a_class_handed_over_twice_does_not_count(loaded):
    report, _ = loaded(GOOD.replace("[Net]", "[Net, Net]"))
    assert report.components == ()
    assert len(report.problems) == 1


def test_one_name_may_serve_two_kinds(loaded):
    loss = NET.replace("Net(Backbone)", "Net2(Loss)").replace("    base:", "    role = 'regulariser'\n    base:")
    report, _ = loaded(GOOD + loss + "@hookimpl\ndef kdseg_losses():\n    return [Net2]\n")
    assert report.problems == ()
    assert [entry.kind.name for entry in report.components] == ["backbone", "loss"]


@pytest.mark.parametrize("name", ["mine", "kdseg-mine:mine", " other , mine "])
def test_the_environment_disables_a_plugin_before_it_is_imported(loaded, monkeypatch, name):
    monkeypatch.setenv("KDSEG_DISABLE_PLUGINS", name)
    report, plugins = loaded("raise RuntimeError('imported')")
    assert report.status == "disabled"
    assert "KDSEG_DISABLE_PLUGINS names it" in report.problems[0]
    with pytest.raises(KdsegError, match=r"plugin kdseg-mine:mine 1\.0 \(disabled: "):
        plugins.registry.find("backbone", "tinynet")


def test_a_disabled_name_that_is_no_plugin_is_told(loaded, monkeypatch):
    monkeypatch.setenv("KDSEG_DISABLE_PLUGINS", "sund")
    _, plugins = loaded(GOOD)
    assert plugins.reports[-1].status == "disabled"
    assert "'sund', which is no plugin; did you mean 'sound'?" in plugins.reports[-1].problems[0]


def test_a_plugin_that_loads_torch_at_import_is_told_and_works(folder):
    fake_dist(folder, "kdseg-mine", entry_points={"m": "kdseg_mine"}, files={"kdseg_mine.py": "import torch\n" + GOOD})
    (folder / "torch.py").write_text("")  # the real one would only cost the test two seconds
    script = (
        f"import sys; sys.path.insert(0, {str(folder)!r})\n"
        "from kdseg.plugins import load_plugins\n"
        "for report in load_plugins().reports:\n"
        "    print(report.distribution, report.status, *report.problems)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("kdseg-mine ")]
    assert line.startswith("kdseg-mine ok it loads torch when it is imported")
    assert "import torch, and what imports torch, inside build" in line


def test_a_file_beside_the_recipe_takes_the_same_road(tmp_path):
    path = tmp_path / "my_nets.py"
    path.write_text(GOOD)
    plugins = load_plugins([path])
    entry = plugins.registry.find("backbone", "my_nets/tinynet")
    assert entry == plugins.registry.find("backbone", "tinynet")
    assert (entry.plugin, entry.version, entry.path) == ("my_nets", "", path)
    assert plugins.registry.entry_of(entry.cls) == entry
    assert load_plugins([path]).registry.find("backbone", "tinynet").cls is entry.cls
    assert list(tmp_path.iterdir()) == [path]  # no bytecode beside the recipe
    assert "backbone my_nets/tinynet" not in str(load_plugins().registry)


def test_a_changed_file_is_read_again(tmp_path):
    path = tmp_path / "my_nets.py"
    path.write_text(GOOD)
    load_plugins([path])
    path.write_text(GOOD.replace("tinynet", "newname"))  # as long as before and in the same second
    assert load_plugins([path]).registry.find("backbone", "my_nets/newname")


@pytest.mark.parametrize(
    ("name", "source", "problem"),
    [
        ("my_nets.py", "import no_such_library", "ModuleNotFoundError"),
        ("my_nets.py", None, "there is no such file"),
        ("my_nets.txt", GOOD, "its name must end in .py"),
        ("kdseg.py", GOOD, "an installed distribution is called 'kdseg' too; rename the file"),
    ],
)
def test_a_file_that_fails_is_reported(tmp_path, name, source, problem):
    path = tmp_path / name
    if source is not None:
        path.write_text(source)
    report = load_plugins([path]).reports[-1]
    assert (report.distribution, report.status) == (path.stem, "failed")
    assert problem in report.problems[0]
    assert "plugin_file.py" not in report.problems[0]


def test_two_files_of_one_stem_are_refused_and_one_file_named_twice_is_one(tmp_path):
    paths = [tmp_path / name / "nets.py" for name in "ab"]
    for path in paths:
        path.parent.mkdir()
        path.write_text(GOOD)
    refused = [report for report in load_plugins(paths).reports if report.name == "nets"]
    assert [report.status for report in refused] == ["failed", "failed"]
    assert "another plugin file is called 'nets' too" in refused[0].problems[0]
    once = [report for report in load_plugins([paths[0], paths[0]]).reports if report.name == "nets"]
    assert [report.status for report in once] == ["ok"]


@pytest.mark.parametrize(
    ("requires", "text"),
    [
        ((), None),
        (("pytest>=1", "attrs"), None),
        (("nosuchlib>=2; python_version < '3'",), None),
        (("pytest>=999", "nosuchlib"), r"needs pytest>=999 \(found .*\), nosuchlib \(not installed\): "),
        (("pytest>=999", "nosuchlib"), "pip install 'pytest>=999' 'nosuchlib'$"),
        (("not a requirement!",), "tell the plugin's author"),
    ],
)
def test_requirements_are_checked_by_metadata(loaded, requires, text):
    _, plugins = loaded(GOOD.replace("    base:", f"    requires = {requires!r}\n    base:"))
    entry = plugins.registry.find("backbone", "tinynet")
    if text is None:
        check_requirements(entry)
    else:
        with pytest.raises(KdsegError, match=text):
            check_requirements(entry)


PYPROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "{name}"
version = "2.5"
[project.entry-points.kdseg]
{point} = "{module}"
"""


@pytest.mark.slow
def test_plugins_that_pip_builds_and_installs(tmp_path, monkeypatch):
    sources = {
        "kdseg-good": GOOD,
        "kdseg-broken": "import no_such_library",
        "kdseg-clashing": GOOD.replace("small", "other"),
    }
    site = tmp_path / "site"
    for name, source in sources.items():
        module = name.replace("-", "_")
        project = tmp_path / name
        project.mkdir()
        (project / "pyproject.toml").write_text(PYPROJECT.format(name=name, point="nets", module=module))
        (project / f"{module}.py").write_text(source)
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
        subprocess.run([*pip, "--target", str(site), str(project)], check=True, capture_output=True)
    with on_path(site):
        plugins = load_plugins()
        assert report_of(plugins, "kdseg-good").version == "2.5"
        assert report_of(plugins, "kdseg-broken").status == "failed"
        with pytest.raises(KdsegError, match="'kdseg-clashing/tinynet' or 'kdseg-good/tinynet'"):
            plugins.registry.find("backbone", "tinynet")
        assert plugins.registry.find("backbone", "kdseg-good/tinynet").summary == "A small net."

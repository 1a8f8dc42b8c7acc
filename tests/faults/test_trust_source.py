"""No source of the project runs what it reads."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ALLOWED = {
    ("kdseg/by_name.py", "eval"): "an annotation of an installed library",
    ("kdseg/plugin_file.py", "exec"): "a plugin file that the recipe names",
    ("kdseg/plugins.py", "plugin.load"): "an installed plugin, or such a file",
    ("kdseg/testing/imports.py", "exec"): "code of a test's own, in a fresh interpreter",
}
"""What runs code that the core does not import by itself, and what that code is."""
RUNNERS = {"eval", "exec", "__import__", "run_path", "popen", "load", "loads", "Unpickler"}
HARMLESS = {"json", "tomllib", "toml", "kdseg", "onnx", "tl"}
"""Modules whose `load` reads plain data, as a protocol buffer too, or, kdseg's own, weights; Triton's reads a device's
memory."""
BANNED = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "yaml", "marshal", "shelve", "runpy"}


def dangers(source):  # noqa: C901 (a case each)
    """Give what a source could run of a file's content."""
    tree = ast.parse(source)
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    own = {name.name for node in imports if str(node.module).startswith("kdseg") for name in node.names}
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (name.name for name in names if name.name.split(".")[0] in BANNED)
            case ast.ImportFrom(module=str(module)) if module.split(".")[0] in BANNED:
                yield module
            case ast.Call(func=func, keywords=keywords):
                given = {word.arg: word.value.value for word in keywords if isinstance(word.value, ast.Constant)}
                yield from (name for name in ("shell", "trust_remote_code", "allow_pickle") if given.get(name))
                match func:
                    case ast.Name(id=name) if name in RUNNERS - own:
                        yield name
                    case ast.Attribute(value=ast.Name(id="os"), attr="system"):
                        yield "os.system"
                    case ast.Attribute(value=ast.Name(id="torch"), attr="load") if given.get("weights_only") is True:
                        pass
                    case ast.Attribute(value=ast.Name(id="np"), attr="load") if given.get("allow_pickle") is False:
                        pass
                    case ast.Attribute(value=ast.Name(id=owner), attr=name) if name in RUNNERS:
                        if owner not in HARMLESS:
                            yield f"{owner}.{name}"


@pytest.mark.parametrize(
    "source",
    [
        "torch.load(file)",
        "torch.load(file, weights_only=False)",
        "torch.load(file, weights_only=choice)",
        "import pickle",
        "from pickle import load",
        "import yaml",
        "pickle.loads(data)",
        "eval(text)",
        "exec(text)",
        "subprocess.run(text, shell=True)",
        "os.system(text)",
        "AutoModel.from_pretrained(name, trust_remote_code=True)",
        "np.load(file, allow_pickle=True)",
        "np.load(file)",
        "def f():\n    from dill import loads",
    ],
)
def test_the_search_sees_what_is_dangerous(source):
    assert list(dangers(source))


def test_no_source_reads_a_file_by_running_it():
    files = [file for top in ("kdseg", "plugins") for file in sorted((ROOT / top).rglob("*.py"))]
    found = {(str(file.relative_to(ROOT)), name) for file in files for name in dangers(file.read_text("utf-8"))}
    assert len(files) > 50
    assert found <= ALLOWED.keys()

from __future__ import annotations

from typing import Annotated, ClassVar

import attrs
import pytest
from attrs import frozen

from kdseg.components import KINDS, Backbone, Component, Dataset, Exporter, Loss, Metric
from kdseg.errors import KdsegError
from kdseg.registry import Absence, Entry, Registry, breaches


def make(base: type[Component], name: str = "thing", **members: object) -> type[Component]:
    """Make a sound component class but for the given members; None leaves a member out."""
    body = {
        "__doc__": "Help.\n\nMore help.",
        "__annotations__": {},
        "name": name,
        "build": lambda self, ctx: None,
        "role": "supervised",
        "scores": ("ours",),
        "suffix": ".ours",
    } | members
    body = {key: value for key, value in body.items() if value is not None}
    return frozen(kw_only=True)(type("Thing", (base,), body))


def entry(kind: str, name: str, distribution: str = "kdseg", cls: type[Component] | None = None) -> Entry:
    return Entry(
        kind=KINDS[kind],
        name=name,
        cls=cls or make(KINDS[kind].base, name),
        plugin="some",
        distribution=distribution,
        version="1.0",
    )


@pytest.fixture
def registry() -> Registry:
    return Registry(
        entries=[
            entry("loss", "pixel_kl"),
            entry("backbone", "unet70m"),
            entry("backbone", "unet1m", "kdseg-other"),
            entry("backbone", "unet1m"),
        ],
        absences=(Absence(distribution="kdseg-lost", cause="plugin kdseg-lost:nets 2.0 (failed: ImportError: gone)"),),
    )


def test_entries_are_sorted_by_kind_then_name(registry):
    assert [(entry.kind.name, entry.qualified) for entry in registry.entries] == [
        ("backbone", "kdseg/unet1m"),
        ("backbone", "kdseg-other/unet1m"),
        ("backbone", "kdseg/unet70m"),
        ("loss", "kdseg/pixel_kl"),
    ]
    assert [entry.name for entry in registry.of_kind("loss")] == ["pixel_kl"]
    assert registry.of_kind("callback") == ()


def test_bare_and_qualified_names_find_the_same_component(registry):
    assert registry.find("backbone", "unet70m") is registry.find("backbone", "kdseg/unet70m")


def test_a_qualified_name_works_where_the_bare_one_is_ambiguous(registry):
    with pytest.raises(KdsegError) as told:
        registry.find("backbone", "unet1m")
    assert "'kdseg/unet1m' or 'kdseg-other/unet1m'" in str(told.value)
    assert registry.find("backbone", "kdseg-other/unet1m").distribution == "kdseg-other"


@pytest.mark.parametrize(
    ("kind", "name", "parts"),
    [
        ("backbone", "unet70", ["did you mean 'unet70m'?", "may come from plugin kdseg-lost:nets 2.0 (failed"]),
        ("backbone", "kdseg/unet7m", ["did you mean 'kdseg/unet70m'?"]),
        ("backbone", "kdseg-lost/segnet", ["may come from plugin kdseg-lost:nets"]),
        ("backbone", "kdseg-absent/segnet", ["no plugin 'kdseg-absent'", "pip install kdseg-absent", "`plugins`"]),
        ("backbone", "pixel_kl", ["a loss is called so"]),
        ("dataset", "zebra", ["`kdseg list-plugins` shows what there is"]),
    ],
)
def test_an_unknown_name_tells_what_may_help_in_one_line(registry, kind, name, parts):
    with pytest.raises(KdsegError) as told:
        registry.find(kind, name)
    text = str(told.value)
    assert text.startswith(f"unknown {kind} {name!r}")
    assert all(part in text for part in parts), text
    assert "\n" not in text


def test_an_absence_of_another_distribution_is_no_answer_to_a_qualified_name(registry):
    with pytest.raises(KdsegError) as told:
        registry.find("backbone", "kdseg/zebra")
    assert "kdseg-lost" not in str(told.value)


def test_an_unknown_kind_lists_the_kinds(registry):
    with pytest.raises(KdsegError, match="did you mean 'loss'"):
        registry.find("losses", "pixel_kl")


def test_entry_of_gives_provenance_of_a_class(registry):
    wanted = registry.entries[0]
    assert registry.entry_of(wanted.cls) is wanted
    with pytest.raises(KdsegError, match="handed over by no plugin"):
        registry.entry_of(make(Loss))


def test_the_summary_is_the_first_line_of_the_docstring(registry):
    assert registry.entries[0].summary == "Help."


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_a_sound_component_of_any_kind_has_no_breach(kind):
    assert list(breaches(kind, make(kind.base))) == []


def undecorated() -> type[Component]:
    return type("Thing", (make(Backbone),), {"__doc__": "Its own.", "name": "thing"})


@pytest.mark.parametrize(
    ("cls", "mend"),
    [
        (undecorated(), "put `@frozen(kw_only=True)`"),
        (make(Backbone, name=None), "write `name: ClassVar[str]"),
        (make(Backbone, name=7), "write `name: ClassVar[str]"),
        (make(Backbone, name="UNet"), "'UNet' does not fit; use lower-case letters"),
        (make(Backbone, name="1net"), "a letter first"),
        (make(Backbone, name="unet\n"), "does not fit"),
        (make(Backbone, __doc__=None), "no docstring of its own"),
        (make(Backbone, __doc__="  "), "no docstring of its own"),
        (make(Backbone, build=None), "write `def build(self, ctx)`"),
        (make(Backbone, requires="transformers>=4.40"), "write a tuple of requirements"),
        (make(Metric, scores=None), "it has no scores; write `scores: ClassVar[tuple[str, ...]] = ...`"),
        (make(Exporter, suffix=None), "it has no suffix; write `suffix: ClassVar[str] = ...`"),
        (make(Loss, role=None), "its role is not given; write `role = ...` with one of 'supervised'"),
        (make(Loss, role="teacher"), "its role is 'teacher'"),
        (make(Loss, per="class"), "its per is 'class'; write `per = ...` with one of 'pixel', 'image', 'batch'"),
        (make(Backbone, taps=(), __annotations__={"taps": Annotated[tuple[str, ...], "a"]}), "hides Backbone.taps"),
        (make(Loss, role="x", __annotations__={"role": Annotated[str, "a"]}), "hides Loss.role"),
        (make(Dataset, size=1, __annotations__={"size": complex}), "option 'size': complex is no type of an option"),
        (make(Dataset, use=1, __annotations__={"use": Annotated[int, "a"]}), "option 'use'"),
    ],
)
def test_each_breach_of_the_rules_is_told_with_its_mend(cls, mend):
    kind = next(kind for kind in KINDS.values() if issubclass(cls, kind.base))
    told = list(breaches(kind, cls))
    assert any(mend in breach for breach in told), told
    assert not any("\n" in breach for breach in told)


def test_name_and_docstring_must_be_the_classs_own():
    parent = make(Backbone)
    child = frozen(kw_only=True)(type("Child", (parent,), {}))
    told = list(breaches(KINDS["backbone"], child))
    assert len(told) == 2
    assert "name of its own" in told[0]
    assert "docstring of its own" in told[1]


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_all_but_name_and_docstring_may_be_inherited(kind):
    child = frozen(kw_only=True)(type("Child", (make(kind.base),), {"name": "child", "__doc__": "Help."}))
    assert list(breaches(kind, child)) == []


def test_mutable_attrs_classes_are_components_too():
    @attrs.define
    class Plain(Backbone):
        """Help."""

        name: ClassVar[str] = "plain"

        def build(self, ctx):
            raise NotImplementedError

    assert list(breaches(KINDS["backbone"], Plain)) == []

"""Every command that a page shows would be understood."""

from __future__ import annotations

import re
import shlex

import click
import pytest

from kdseg.cli import cli, verbs
from kdseg.errors import KdsegError
from kdseg.recipe.load import find_recipe, load_recipe


def commands(page):
    """Give the words after ``kdseg`` of each command, in blocks and in the prose."""
    lines = [line for block in page.blocks if block.language == "sh" for line in block.text.splitlines()]
    for line in (*lines, *page.code):
        for part in re.split(r" && ", line):
            words = shlex.split(part, comments=True)
            named = [n for n, word in enumerate(words) if re.fullmatch(r"(\S*/)?kdseg", word)]
            if named and (named[0] == 0 or words[named[0] - 1] == "-m"):
                yield words[named[0] + 1 :]


def parse(words):
    """Parse a command as the command line does, and give the values of its parameters."""
    if not words or words[0].startswith("-"):
        assert all(word in {name for option in cli.params for name in option.opts} | {"--help", "-h"} for word in words)
        return "", {}
    assert words[0] in verbs()
    if len(words) == 1:  # the verb is but spoken of
        return words[0], {}
    context = click.Context(cli, obj={})
    try:
        found = cli.get_command(context, words[0]).make_context(words[0], [*words[1:]], parent=context).params
    except click.exceptions.Exit:  # --help
        found = {}
    return words[0], found


def test_every_command_has_a_verb_and_options_that_exist(page):
    for words in commands(page):
        try:
            parse(words)
        except click.ClickException as error:
            pytest.fail(f"kdseg {shlex.join(words)}: {error.format_message()}")


def test_every_setting_fits_its_recipe(page, root, monkeypatch):
    monkeypatch.chdir(root)
    for words in commands(page):
        _, found = parse(words)
        try:
            file = find_recipe(found.get("recipe", ""))
        except KdsegError:  # a placeholder, or a recipe that the page makes: running the page tries it
            continue
        load_recipe(file, found["settings"])


def test_every_setting_in_the_prose_fits_the_main_recipe(page, root):
    for text in page.code:
        found = re.fullmatch(r"--set ([a-z].*)", text)
        if found:
            load_recipe(root / "recipes" / "online_alternating.toml", [found[1]])


def test_the_readme_tells_of_every_verb(pages):
    assert {words[0] for words in commands(pages["README.md"]) if words} >= set(verbs())

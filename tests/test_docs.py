"""What the documents say is what the program does."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from edged.config import ENVIRONMENT
from tests import docs

DOCUMENTS = sorted(path for path in docs.ROOT.glob("*.md"))
MAKE_TARGETS = set(re.findall(r"^([a-z-]+):", (docs.ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def shell_lines(path: Path) -> Iterator[list[str]]:
    """Words of every command in the document's sh and console blocks, and of inline `code`."""
    text = path.read_text(encoding="utf-8")
    for block in re.findall(r"```(?:sh|console)\n(.*?)```", text, re.DOTALL):
        for line in block.splitlines():
            yield from words_of(line.removeprefix("$ "))
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    for code in re.findall(r"`((?:make|edged|python -m) [^`]+)`", prose):
        yield from words_of(code)


def words_of(line: str) -> Iterator[list[str]]:
    for part in line.split(" | "):
        words = shlex.split(part, comments=True)
        while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
            words.pop(0)
        if words:
            yield words


def resolve(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that these words name, and the words that follow it."""
    command: click.Command = docs.main
    rest = list(words)
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        assert rest[0] in command.commands, f"no command {rest[0]!r} in {words}"
        command = command.commands[rest.pop(0)]
    return command, rest


def test_generated_parts_of_the_readme_are_current() -> None:
    if not (docs.ROOT / ".git").exists():
        pytest.skip("the tree in the README is git's: not a git checkout")
    assert docs.README.read_text(encoding="utf-8") == docs.written(), "run `make docs`"


@pytest.mark.parametrize("path", sorted(set(docs.GENERATED) - {docs.README}), ids=lambda path: path.name)
def test_what_is_said_of_recipes_is_what_is_computed(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == docs.written(path), "run `make docs`"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_commands_in_documents_exist(path: Path) -> None:
    for words in shell_lines(path):
        if words[0] == "make":
            targets = [word for word in words[1:] if "=" not in word and not word.startswith("-")]
            assert set(targets) <= MAKE_TARGETS, words
        elif words[0] == "edged":
            command, rest = resolve(words[1:])
            known = {option for parameter in command.params for option in parameter.opts} | {"-h", "--help", "--debug"}
            used = {word.split("=")[0] for word in rest if word.startswith("-") and word != "-"}
            assert used <= known, f"{words}: no option {used - known}"


def test_readme_names_every_command_key_and_variable() -> None:
    text = docs.README.read_text(encoding="utf-8")
    for path, _ in docs.commands():
        assert f"$ {path} --help" in text
    for section, key, _, _ in docs.config_keys():
        assert f"`{section}.{key}`" in text
    for name in ENVIRONMENT:
        assert name in text


def test_readme_names_every_extra() -> None:
    text = docs.README.read_text(encoding="utf-8")
    project = tomllib.loads((docs.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for extra in project["optional-dependencies"]:
        assert f"`edged[{extra}]" in text or f"'edged[{extra}]'" in text or f"`{extra}`" in text, extra


def test_every_command_key_and_chat_word_says_what_it_is() -> None:
    for path, command in docs.commands():
        assert command.help, path
        for parameter in command.params:
            if isinstance(parameter, click.Option) and not parameter.hidden:
                assert parameter.help, f"{path} {parameter.opts}"
    for section, key, _, meaning in docs.config_keys():
        assert meaning, f"{section}.{key} has no docstring in edged/config/sections.py"
    for word, (_, action) in docs.COMMANDS.items():
        assert action.__doc__, word


def test_links_between_documents_lead_somewhere() -> None:
    for path in DOCUMENTS:
        for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), f"{path.name}: {target}"


def test_every_top_level_folder_explains_itself() -> None:
    for folder in docs.TREE_FOLDERS:
        assert (docs.ROOT / folder / "README.md").is_file() or (docs.ROOT / folder / "__init__.py").is_file(), folder

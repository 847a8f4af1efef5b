"""The parts of documents that follow from the code. `make docs` writes them, tests/test_docs.py compares.

A generated part stands between `<!-- NAME: make docs -->` and `<!-- end of NAME -->`, in TOML files as comments.
"""

from __future__ import annotations

import ast
import functools
import itertools
import re
import subprocess
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import click

from edged.cli import main
from edged.cli.chat import COMMANDS
from edged.config import SECTIONS
from engines.memory import CONTEXTS, DEVICES
from engines.plan import plan
from engines.recipe import load_recipe
from tests.bench import article

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
MEASURED = ROOT / "tests/bench/measured.toml"
PHONE = "autoglm-phone-9b"
"""The model that recipes are described with."""
TREE_FILES = {
    "Makefile": "setup, run, test, lint, bench, ...",
    "pyproject.toml": "dependencies, extras, and the rules of ruff, mypy, pytest and import-linter",
    ".ci/run": "what a build machine runs",
    "README.md": "this file; README.zh.md is its first screen in Chinese",
    "DESIGN.md": "data flow, import rules, dated decisions",
    "CONTRIBUTING.md": "how to change something",
    "CHANGELOG.md": "what changed",
    "LICENSE": "Apache-2.0",
    "NOTICE": "whose weights are used",
}
"""Comments that no file carries itself."""
TREE_FOLDERS = ("protos", "edged", "engines", "clients", "systemd", "tests")
BRIEF = (
    "tests",
    "clients",
    "systemd",
    "edged/server/web/phone",
    "edged/v1",
    "engines/checkpoints",
    "engines/qat/curves",
    "engines/texts",
)
"""Folders shown without their files."""


def written(path: Path = README) -> str:
    """A document with all generated parts as they should be."""
    text = path.read_text(encoding="utf-8")
    for name, generate in GENERATED[path].items():
        pattern = re.compile(rf"(<!-- {name}: make docs -->\n).*?((?:# )?<!-- end of {name} -->)", re.DOTALL)
        body = generate()
        text, found = pattern.subn(lambda match, body=body: f"{match[1]}{body}\n{match[2]}", text)
        if found != 1:
            raise ValueError(f"{path.name} must have the part {name!r} once, not {found} times")
    return text


def commands(command: click.Command = main, path: str = "edged") -> Iterator[tuple[str, click.Command]]:
    """Every command with its full name, groups before what they hold."""
    yield path, command
    if isinstance(command, click.Group):
        for name, child in command.commands.items():
            yield from commands(child, f"{path} {name}")


def config_keys() -> Iterator[tuple[str, str, object, str]]:
    """Section, key, default and meaning of everything that can be configured."""
    documentation = dict(_field_docstrings(ROOT / "edged/config/sections.py"))
    for section, cls in SECTIONS.items():
        defaults = cls()
        for key in cls.__dataclass_fields__:
            yield section, key, getattr(defaults, key), documentation.get((cls.__name__, key), "")


def _help() -> str:
    blocks = []
    for path, command in commands():
        context = click.Context(command, info_name=path, max_content_width=100, terminal_width=100)
        context.help_option_names = ["-h", "--help"]
        command._help_option = None  # click keeps the first one that anybody asked for, by whatever names
        blocks.append(f"$ {path} --help\n{command.get_help(context).rstrip()}")
    return "```text\n" + "\n\n".join(blocks) + "\n```"


def _chat_commands() -> str:
    rows = [f"| `{f'{word} {metavar}'.strip()}` | {action.__doc__} |" for word, (metavar, action) in COMMANDS.items()]
    return "| typed | does |\n|---|---|\n" + "\n".join(rows)


def _config() -> str:
    rows = [
        f"| `{section}.{key}` | `{_toml(default)}` | {meaning} |" for section, key, default, meaning in config_keys()
    ]
    return "| key | default | meaning |\n|---|---|---|\n" + "\n".join(rows)


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


def _field_docstrings(path: Path) -> Iterator[tuple[tuple[str, str], str]]:
    """The string under each field of each class in a module, on one line."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if not isinstance(node, ast.ClassDef):
            continue
        for item, after in zip(node.body, node.body[1:], strict=False):
            is_text = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name) and is_text:
                yield (node.name, item.target.id), " ".join(str(after.value.value).split())


def _tree() -> str:
    lines = [(name, comment) for name, comment in TREE_FILES.items() if (ROOT / name).exists()]
    for folder in TREE_FOLDERS:
        lines += _branch(ROOT / folder, indent="")
    width = max(len(name) for name, _ in lines) + 2
    return "```text\n" + "\n".join(f"{name.ljust(width)}{comment}".rstrip() for name, comment in lines) + "\n```"


def _branch(folder: Path, indent: str) -> Iterator[tuple[str, str]]:
    """The folder and what git would keep of it, with the first sentence of each."""
    yield f"{indent}{folder.name}/", _comment(folder)
    if folder.relative_to(ROOT).as_posix() in BRIEF:
        return
    shown = {path for path in _kept_files() if folder in path.parents}
    children = {folder / path.relative_to(folder).parts[0] for path in shown}
    for child in sorted(children, key=lambda path: (path.is_dir(), path.name)):
        if child.is_dir():
            yield from _branch(child, f"{indent}  ")
        elif child.name not in ("__init__.py", "README.md", "py.typed"):
            yield f"{indent}  {child.name}", _comment(child)


def _kept_files() -> list[Path]:
    """Files of the checkout that git tracks or would track."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).exists()]


def _comment(path: Path) -> str:
    """The first sentence that a file or folder says of itself."""
    if path.is_dir():
        inside = next((path / name for name in ("__init__.py", "README.md") if (path / name).is_file()), None)
        return _comment(inside) if inside and inside.stat().st_size else ""
    text = path.read_text(encoding="utf-8")
    match path.suffix:
        case ".py":
            first = (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]
        case ".md":
            first = _first_block(line for line in text.splitlines() if not line.startswith("#"))
        case _:
            comments = (line if line.startswith(("#", "//")) else "" for line in text.splitlines())
            first = _first_block(line.lstrip("#/ ") for line in comments)
    return first.partition(". ")[0].rstrip(".")


def _first_block(lines: Iterable[str]) -> str:
    """The first lines that are not empty, as one."""
    begun = itertools.dropwhile(lambda line: not line, lines)
    return " ".join(itertools.takewhile(bool, begun))


def _recipes() -> str:
    """What AutoGLM-Phone-9B needs by each recipe that is made for a device."""
    measured = tomllib.loads(MEASURED.read_text(encoding="utf-8"))
    head = "| recipe | weights | of it vision | keys and values, 4,096 / 25,480 tokens | a screenshot, meanwhile "
    head += "| least ms a token after 4,096 / 25,480 | measured |"
    rows = [head, "|---|---|---|---|---|---|---|"]
    for name in DEVICES:
        found = plan(load_recipe(name), PHONE)
        kv = " / ".join(f"{found.footprint.kv(context) / 1e9:.2f}" for context in CONTEXTS)
        times = " / ".join(f"{found.footprint.token_ms(DEVICES[name], context):.1f}" for context in CONTEXTS)
        cells = [f"`{name}`", f"{found.footprint.weights / 1e9:.2f} GB", f"{found.footprint.vision / 1e9:.2f} GB"]
        cells += [f"{kv} GB", f"{found.screenshot / 1e9:.2f} GB", times, measured.get(name, "not measured yet")]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def _article() -> str:
    return article.table(tomllib.loads(MEASURED.read_text(encoding="utf-8")).get("article", {}))


def _needs(name: str) -> str:
    """The same of one recipe, as a comment in it."""
    found = plan(load_recipe(name), PHONE)
    needs, device = found.footprint, DEVICES[name]
    sizes = f"weights {needs.text / 1e9:.2f} GB, vision {needs.vision / 1e9:.2f} GB"
    sizes += f" and {found.screenshot / 1e9:.2f} GB more during a screenshot"
    kv = ", ".join(f"{needs.kv(context) / 1e9:.2f} GB at {context:,} tokens" for context in CONTEXTS)
    times = ", ".join(f"{needs.token_ms(device, context):.1f} ms after {context:,}" for context in CONTEXTS)
    return (
        f"# Computed for AutoGLM-Phone-9B on {device.title}:\n# {sizes};\n"
        f"# keys and values {kv};\n# a token takes at least {times} others ({device.bandwidth / 1e9:g} GB/s)."
    )


README_PARTS: Mapping[str, Callable[[], str]] = {
    "chat": _chat_commands,
    "config": _config,
    "help": _help,
    "tree": _tree,
}
GENERATED: Mapping[Path, Mapping[str, Callable[[], str]]] = {
    README: README_PARTS,
    ROOT / "engines/README.md": {"recipes": _recipes, "article": _article},
    **{ROOT / f"engines/recipes/{name}.toml": {"needs": functools.partial(_needs, name)} for name in DEVICES},
}


if __name__ == "__main__":
    for document in GENERATED:
        document.write_text(written(document), encoding="utf-8")

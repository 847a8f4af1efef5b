"""A Dockerfile's stages as folders, where there is no container engine."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

SECONDS = 1500
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
INERT = frozenset({"VOLUME", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD", "SHELL"})


@dataclass
class Stage:
    """One FROM and what follows it."""

    root: Path
    environ: dict[str, str] = field(default_factory=lambda: {"HOME": "/root", "PATH": PATH, "LC_ALL": "C.UTF-8"})
    workdir: str = "/"
    user: str = ""

    def command(self, *command: str, extra: dict[str, str] | None = None) -> list[str | Path]:
        """How something runs in it."""
        pairs = [f"{key}={value}" for key, value in {**self.environ, **(extra or {})}.items()]
        user = [f"--userspec={self.user}"] if self.user else []
        program = ["sh", "-c", 'cd "$0" && exec "$@"', self.workdir, *command]
        return ["chroot", *user, self.root, "env", "-i", *pairs, *program]

    def run(self, *command: str) -> None:
        """As the build does, which has a network and a package index."""
        index = {key: value for key, value in os.environ.items() if key.lower().endswith("_proxy") or key[:4] == "PIP_"}
        within = ["unshare", "--mount", "--pid", "--fork", "--kill-child", f"--mount-proc={self.root}/proc"]
        whole = [*within, *self.command(*command, extra=index)]
        done = subprocess.run(whole, capture_output=True, text=True, timeout=SECONDS, check=False)
        assert done.returncode == 0, f"{command}: {done.stdout[-3000:]}{done.stderr[-3000:]}"


class Image:
    """What `docker build` would make. An instruction that is not known here is an error."""

    def __init__(self, dockerfile: Path, base: Path, folder: Path) -> None:
        self._context, self._base, self._folder = dockerfile.parent, base, folder
        self._steps = parsed(dockerfile.read_text(encoding="utf-8"))
        self._stages: dict[str, Stage] = {}

    def build(self, name: str) -> Stage:
        """A stage, made with all that it stands on."""
        if name not in self._stages:
            (_, source), *steps = self._steps[name]
            stage = self._stages[name] = self._start(name, source)
            for word, rest in steps:
                self._carry_out(stage, word, rest)
        return self._stages[name]

    def _start(self, name: str, source: str) -> Stage:
        root = self._folder / name
        root.parent.mkdir(exist_ok=True)
        before = self.build(source) if source in self._steps else Stage(self._base)
        subprocess.run(["cp", "--archive", "--reflink=auto", before.root, root], check=True)
        return Stage(root, dict(before.environ), before.workdir, before.user)

    def _carry_out(self, stage: Stage, word: str, rest: str) -> None:
        match word:
            case "RUN":
                stage.run("sh", "-c", rest)
            case "COPY":
                self._copy(stage, rest.split())
            case "ENV":
                for pair in rest.split():
                    key, _, value = pair.partition("=")
                    stage.environ[key] = value.replace("$PATH", stage.environ["PATH"])
            case "WORKDIR":
                stage.workdir = rest
                (stage.root / rest.lstrip("/")).mkdir(parents=True, exist_ok=True)
            case "USER":
                stage.user = rest
            case _ if word not in INERT:
                raise NotImplementedError(word)

    def _copy(self, stage: Stage, words: list[str]) -> None:
        whole = self._context
        if words[0].startswith("--from="):
            whole = self.build(words.pop(0).removeprefix("--from=")).root
        source, target = words
        into = stage.root / (stage.workdir if target == "." else target).lstrip("/")
        into.parent.mkdir(parents=True, exist_ok=True)
        if source == ".":
            _copy_kept(whole, into)
        else:
            subprocess.run(["cp", "--archive", whole / source.lstrip("/"), into], check=True)


def parsed(text: str) -> dict[str, list[tuple[str, str]]]:
    """Instructions by stage; the first is its FROM."""
    stages: dict[str, list[tuple[str, str]]] = {}
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        word, _, rest = line.strip().partition(" ")
        if word == "FROM":
            source, _, name = rest.partition(" AS ")
            steps = stages[name] = []
            rest = source
        if word:
            steps.append((word, rest.strip()))
    return stages


def _copy_kept(context: Path, into: Path) -> None:
    """What git would keep of the checkout: what .dockerignore leaves of a clean one."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    files = subprocess.run(command, cwd=context, capture_output=True, check=True).stdout
    kept = b"".join(name + b"\0" for name in files.split(b"\0") if name and (context / os.fsdecode(name)).exists())
    command = ["tar", "--create", "--null", "--files-from=-"]
    packed = subprocess.run(command, cwd=context, input=kept, capture_output=True, check=True).stdout
    subprocess.run(["tar", "--extract", "--no-same-owner", "--directory", into], input=packed, check=True)

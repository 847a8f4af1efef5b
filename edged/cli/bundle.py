"""`edged bundle`: everything an isolated site needs in one signed file."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edged.cli.output import human_bytes, print_json, say
from edged.cli.parameters import utf8
from edged.config import load_config
from edged.errors import InvalidInput

if TYPE_CHECKING:
    from edged.bundle.archive import Verified

EXTRAS = "daemon,vision,voice,web,wyoming"
_path = click.Path(path_type=Path)
_json_option = click.option("--json", "json_wanted", is_flag=True, help="Print one JSON object.")
_signer_option = click.option(
    "--signed-by", "signer", metavar="FINGERPRINT", help="Of the key that must have signed it, as `create` printed it."
)


def _default_prefix() -> Path:
    return Path("/opt/edged") if Path.home() == Path("/root") else Path.home() / ".local/share/edged"


_prefix_option = click.option(
    "--prefix", type=_path, help="Where versions are kept: /opt/edged for root, else ~/.local/share/edged."
)


@click.group()
def bundle() -> None:
    """Carry edged to a machine without a network, and go back a version."""


@bundle.command()
@click.argument("file", type=_path, required=False)
@click.option("--engine", "engines", multiple=True, type=utf8, help="An engine to take along; may occur several times.")
@click.option("--machine", type=click.Choice(["x86_64", "aarch64"]), help="What it is for; this kind by default.")
@click.option("--python-version", help="Of the other machine, e.g. 3.12; this one's by default.")
@click.option("--extra", "extras", default=EXTRAS, show_default=True, help="Parts of the program, with commas between.")
@_json_option
def create(
    file: Path | None,
    engines: tuple[str, ...],
    machine: str | None,
    python_version: str | None,
    extras: str,
    json_wanted: bool,
) -> None:
    """Make a bundle, in a checkout on a machine with a package index: the one command here that uses a network.

    Wheels, engines, units, an SBOM and licences go into one FILE, signed by a key that stays in the configuration
    directory of this account.
    """
    from edged import __version__
    from edged.bundle.create import create_bundle

    config = load_config()
    python = python_version or f"{sys.version_info.major}.{sys.version_info.minor}"
    if not re.fullmatch(r"3\.[0-9]{1,2}", python):
        raise click.UsageError(f"--python-version {python}: must be like 3.12")
    machine = machine or platform.machine()
    wanted = tuple(part for part in extras.split(",") if part)
    verified = create_bundle(
        file or Path(f"edged-{__version__}-{machine}-py{python}.bundle"),
        machine=machine,
        python=python,
        extras=tuple(sorted({*wanted, "bundle", "daemon"})),
        engines=engines or (config.engine.default,),
        engine_directories=config.paths.engines,
        key_directory=config.paths.config,
        say=say,
        progress=_Bar("writing"),
    )
    _show(verified, json_wanted)


@bundle.command()
@click.argument("file", type=_path)
@_signer_option
@_json_option
def verify(file: Path, signer: str | None, json_wanted: bool) -> None:
    """Compare every byte of a bundle with what was signed."""
    from edged.bundle.install import verify_bundle
    from edged.trust.signatures import is_fingerprint

    verified = verify_bundle(file, _Bar("verifying"))
    if signer and not is_fingerprint(signer, verified.fingerprint):
        raise InvalidInput(f"{file} is whole, but signed by another key: {verified.fingerprint}")
    _show(verified, json_wanted)


@bundle.command()
@click.argument("file", type=_path)
@_prefix_option
@_signer_option
@click.option("--python", type=_path, help="The interpreter to install for; the one that runs this by default.")
def install(file: Path, prefix: Path | None, signer: str | None, python: Path | None) -> None:
    """Verify a bundle, see whether this machine can run it, and install it beside what is there.

    What ran before stays the previous version: `edged bundle rollback`.
    """
    from edged.bundle.install import install_bundle
    from edged.trust.signatures import is_fingerprint

    def trust(verified: Verified) -> bool:
        if signer:
            return is_fingerprint(signer, verified.fingerprint)
        question = f"The bundle was signed by\n  {verified.fingerprint}\nIs that what its maker told you?"
        return sys.stdin.isatty() and click.confirm(question, err=True)

    where = (prefix or _default_prefix()).absolute()
    base = Path(getattr(sys, "_base_executable", sys.executable))
    manifest = install_bundle(file, where, python=python or base, trust=trust, progress=_Bar("unpacking"), say=say)
    click.echo(f"Installed {manifest.name}. To use it: {where / 'bin/edged'} chat")
    if (where / "previous").exists():
        say("a daemon that runs goes on with the version before until it is started again")


@bundle.command()
@_prefix_option
def rollback(prefix: Path | None) -> None:
    """Go back to the version that was installed before; once more, and it is the newer one again."""
    from edged.bundle.install import roll_back

    where = (prefix or _default_prefix()).absolute()
    click.echo(f"{roll_back(where)} is the current version. Start the daemon again for it.")


class _Bar:
    """A bar on stderr where somebody looks."""

    def __init__(self, label: str) -> None:
        self._label = label

    def __call__(self, total: int) -> Callable[[int], None]:
        bar = click.progressbar(length=total, label=self._label, file=sys.stderr, hidden=not sys.stderr.isatty())
        done = 0

        def advance(count: int) -> None:
            nonlocal done
            done += count
            bar.update(count)
            if done == total:
                bar.render_finish()

        return advance


def _show(verified: Verified, json_wanted: bool) -> None:
    manifest = verified.manifest
    if json_wanted:
        print_json(
            {
                "name": manifest.name,
                "fingerprint": verified.fingerprint,
                "bytes": verified.total_bytes,
                "installed_bytes": manifest.installed_bytes,
                "engines": manifest.engines,
                "extras": manifest.extras,
                "files": len(manifest.files),
            }
        )
        return
    click.echo(
        f"{manifest.name}: {len(manifest.files)} files, {human_bytes(verified.total_bytes)}, as they were signed"
    )
    click.echo(f"engines: {', '.join(manifest.engines)}; parts: {', '.join(manifest.extras)}")
    click.echo(f"signed by {verified.fingerprint}")

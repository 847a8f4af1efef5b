"""`edged bundle`: everything an isolated site needs in one signed file."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edged.cli.output import human_bytes, print_json, say
from edged.cli.parameters import utf8
from edged.config import load_config
from edged.errors import InvalidInput

if TYPE_CHECKING:
    from edged.bundle.archive import Verified
    from edged.bundle.install import InstalledBundle

EXTRAS = "daemon,vision,voice,web,wyoming"
RECIPE = """
Before anything of it runs on the other machine, what Linux has can tell whether it is what you made:

  mkdir site && cd site && tar -xf {file}
  openssl pkey -pubin -in publisher.pem -outform DER | tail -c 32 | sha256sum
      # {digest}
  openssl pkeyutl -verify -rawin -pubin -inkey publisher.pem -sigfile manifest.sig -in manifest.json
  awk -F'"' '/^  "/ {{ name = $2 }} /^   "sha256"/ {{ print $4 "  " name }}' manifest.json | sha256sum --check --quiet
  sh start.sh {file} --signed-by {digest}
"""
"""What to do with a bundle; its own program is the last thing that runs."""
SERVICE = """
As a system service, as root (service.md says more):

  install -Dm644 {units}/edged.sysusers /etc/sysusers.d/edged.conf
  install -Dm644 {units}/edged.tmpfiles /etc/tmpfiles.d/edged.conf
  install -Dm644 {units}/README.md /usr/share/doc/edged/service.md
  sed 's|=/usr/bin/edged |={program} |' {units}/edged.service >/etc/systemd/system/edged.service
  systemd-sysusers && systemd-tmpfiles --create edged.conf
  systemctl daemon-reload && systemctl enable --now edged
"""
"""After an installation: the units of a bundle start what a package installs."""
_path = click.Path(path_type=Path)
_json_option = click.option("--json", "json_wanted", is_flag=True, help="Print one JSON object.")
_signer_option = click.option(
    "--signed-by", "signer", metavar="FINGERPRINT", help="Of the key that must have signed it, as `create` printed it."
)


def _default_prefix() -> Path:
    return Path("/opt/edged") if Path.home() == Path("/root") else Path.home() / ".local/share/edged"


def _absolute(prefix: Path | None) -> Path:
    return (prefix or _default_prefix()).absolute()


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
    _show(verified, json_wanted, {})
    say(RECIPE.format(file="/PATH/OF/THE/BUNDLE", digest=verified.fingerprint.replace("-", "")))


@bundle.command()
@click.argument("file", type=_path)
@_prefix_option
@_signer_option
@_json_option
def verify(file: Path, prefix: Path | None, signer: str | None, json_wanted: bool) -> None:
    """Compare every byte of a bundle with what was signed, and say what is installed here."""
    from edged.bundle.install import installed_bundles, verify_bundle
    from edged.trust.signatures import is_fingerprint

    verified = verify_bundle(file, _Bar("verifying"))
    if signer and not is_fingerprint(signer, verified.fingerprint):
        raise InvalidInput(f"{file} is whole, but signed by another key: {verified.fingerprint}")
    _show(verified, json_wanted, installed_bundles(_absolute(prefix)))


@bundle.command()
@click.argument("file", type=_path)
@_prefix_option
@_signer_option
@click.option("--python", type=_path, help="The interpreter to install for; the one that runs this by default.")
def install(file: Path, prefix: Path | None, signer: str | None, python: Path | None) -> None:
    """Verify a bundle, see whether this machine can run it, and install it beside what is there.

    What ran before stays the previous version: `edged bundle rollback`. The conversations that this account's
    configuration names (EDGED_STATE_DIR) must not be newer than the bundle.
    """
    from edged.bundle.install import install_bundle, installed_bundles
    from edged.cli.bundle_schema import stored_schema
    from edged.trust.signatures import is_fingerprint

    def trust(verified: Verified) -> bool:
        if signer:
            return is_fingerprint(signer, verified.fingerprint)
        question = f"The bundle was signed by\n  {verified.fingerprint}\nIs that what its maker told you?"
        return sys.stdin.isatty() and click.confirm(question, err=True)

    where = _absolute(prefix)
    base = Path(getattr(sys, "_base_executable", sys.executable))
    manifest = install_bundle(
        file,
        where,
        python=python or base,
        stored_schema=stored_schema(),
        trust=trust,
        progress=_Bar("unpacking"),
        say=say,
    )
    click.echo(f"Installed {manifest.name}. To use it: {where / 'bin/edged'} chat")
    _show_installed(installed_bundles(where))
    if not where.is_relative_to(Path.home()):  # where ProtectHome= would hide it
        say(SERVICE.format(units=where / "current/systemd", program=where / "bin/edged"))
    if (where / "previous").exists():
        say(
            "a daemon that runs goes on with the version before until it is started again; where the new one stores "
            "more, the one before cannot read it then: `edged backup FILE` first keeps the way back open"
        )


@bundle.command()
@_prefix_option
def rollback(prefix: Path | None) -> None:
    """Go back to the version that was installed before; once more, and it is the newer one again.

    Refused where that version could not read the conversations that this account's configuration names.
    """
    from edged.bundle.install import installed_bundles, roll_back
    from edged.cli.bundle_schema import stored_schema

    where = _absolute(prefix)
    click.echo(f"{roll_back(where, stored_schema())} is the current version. Start the daemon again for it.")
    _show_installed(installed_bundles(where))


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


def _show(verified: Verified, json_wanted: bool, installed: Mapping[str, InstalledBundle]) -> None:
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
                **installed,
            }
        )
        return
    click.echo(
        f"{manifest.name}: {len(manifest.files)} files, {human_bytes(verified.total_bytes)}, as they were signed"
    )
    click.echo(f"engines: {', '.join(manifest.engines)}; parts: {', '.join(manifest.extras)}")
    click.echo(f"signed by {verified.fingerprint}")
    _show_installed(installed)


def _show_installed(installed: Mapping[str, InstalledBundle]) -> None:
    for link, found in installed.items():
        signed = f", signed by {found.fingerprint}" if found.fingerprint else ""
        click.echo(f"{link}: {found.name}, made {found.made} UTC{signed}")

"""What is in a bundle for those who must account for it: a CycloneDX SBOM, and every licence text."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from email.message import Message
from email.parser import BytesHeaderParser
from pathlib import Path, PurePosixPath

from edged import __version__
from edged.engine.manifest import Manifest
from edged.errors import MissingExtra

try:
    from cyclonedx.contrib.license.factories import LicenseFactory
    from cyclonedx.model import HashAlgorithm, HashType
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.output.json import JsonV1Dot6
    from packageurl import PackageURL
except ModuleNotFoundError as exc:
    raise MissingExtra(
        "making a bundle needs an extra: `make setup EXTRAS=bundle` or pip install 'edged[bundle]'"
    ) from exc

MAX_LICENCE_BYTES = 1024 * 1024
_LICENCE_NAMES = ("LICEN", "COPYING", "NOTICE", "AUTHORS")


def sbom(wheels: Sequence[Path], engines: Mapping[str, Manifest]) -> str:
    """CycloneDX 1.6 as JSON: each wheel and each model with its version, hash and licence."""
    bom = Bom()
    bom.metadata.timestamp = datetime.now(UTC)
    whole = Component(name="edged", version=__version__, type=ComponentType.APPLICATION, bom_ref="edged")
    bom.metadata.component = whole
    parts = [*map(_package, wheels), *(_model(name, manifest) for name, manifest in engines.items())]
    bom.components.update(parts)
    bom.register_dependency(whole, parts)
    return JsonV1Dot6(bom).output_as_string(indent=1)


def licence_texts(wheels: Sequence[Path]) -> Iterator[tuple[str, bytes]]:
    """Name and content of each licence file in the wheels, the wheel's name first."""
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            for info in archive.infolist():
                path = PurePosixPath(info.filename)
                wanted = not info.is_dir() and (path.parent.suffix == ".dist-info" or "licenses" in path.parts)
                if wanted and path.name.upper().startswith(_LICENCE_NAMES) and info.file_size <= MAX_LICENCE_BYTES:
                    inside = "-".join(path.parts[1:]).encode("ascii", "replace").decode().replace("?", "_")
                    yield f"{_metadata(archive)['Name']}/{inside[-100:]}", archive.read(info)


def _package(wheel: Path) -> Component:
    with zipfile.ZipFile(wheel) as archive:
        metadata = _metadata(archive)
    name, version = str(metadata["Name"]), str(metadata["Version"])
    with wheel.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    component = Component(
        name=name,
        version=version,
        type=ComponentType.LIBRARY,
        purl=PackageURL("pypi", name=name.lower().replace("_", "-"), version=version),
        bom_ref=f"pkg:pypi/{name}@{version}",
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest)],
    )
    if licence := _licence(metadata):
        component.licenses.add(LicenseFactory().make_from_string(licence))
    return component


def _model(name: str, manifest: Manifest) -> Component:
    component = Component(
        name=name,
        version=manifest.edged_version,
        type=ComponentType.MACHINE_LEARNING_MODEL,
        description=f"{manifest.title}, from {manifest.source.name}",
        bom_ref=f"model/{name}",
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=manifest.source.sha256)] if manifest.source.sha256 else [],
    )
    component.licenses.add(LicenseFactory().make_from_string(manifest.license))
    return component


def _metadata(archive: zipfile.ZipFile) -> Message:
    inside = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
    return BytesHeaderParser().parsebytes(archive.read(inside))


def _licence(metadata: Message) -> str:
    """In one line; many packages put the whole text into the field of the name."""
    named = str(metadata["License-Expression"] or metadata["License"] or "").strip()
    if not named or "\n" in named or len(named) > 100:
        classifiers = [str(each) for each in metadata.get_all("Classifier", [])]
        named = next((each.rpartition(" :: ")[2] for each in classifiers if each.startswith("License :: ")), "")
    return named

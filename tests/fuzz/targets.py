"""Every parser that meets bytes from outside, and how it is fed.

A parser may refuse with an EdgedError of one line. Anything else that it raises is a bug.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from zeroconf import ServiceInfo

from edged.audio.decode import read_samples
from edged.audio.opus import OpusDecoder
from edged.bundle.manifest import parse_manifest
from edged.client.discovery import SERVICE, _understood
from edged.client.pairing import _from_link
from edged.config import load_config
from edged.engine.chat_template import ChatTemplate
from edged.engine.manifest import read_manifest
from edged.engine.tokenizer import Tokenizer
from edged.engine.tool_form import HERMES, LLAMA, MISTRAL
from edged.engine.tool_parser import ToolCallParser
from edged.errors import EdgedError, InvalidInput
from edged.server.wyoming.reading import read_event
from edged.speech import ggml_file, torch_file
from edged.trust.certificates import requested_key
from edged.trust.pake import ClientSide, DaemonSide
from edged.vision.metadata import without_metadata
from edged.vision.mjpeg import MjpegParts
from edged.vision.pictures import read_picture
from engines.checkpoint import open_checkpoint
from tests.audio.recordings import AT_16_KHZ
from tests.fuzz import carried_in, examples, web_calls
from tests.fuzz.examples import artefact, folder
from tests.tiny_artefact import CHATML


@dataclass(frozen=True)
class Target:
    examples: Callable[[], list[bytes]]
    feed: Callable[[bytes], object]

    def __call__(self, data: bytes) -> None:
        """Whatever this raises is a bug."""
        try:
            self.feed(data)
        except EdgedError as exc:
            assert exc.message and "\n" not in exc.message, "more than one line"


def announcement(data: bytes) -> None:
    """The text record of an mDNS answer, as zeroconf hands it on."""
    addresses = [data[:4].ljust(4, b"\0")]
    info = ServiceInfo(SERVICE, f"edged.{SERVICE}", addresses=addresses, properties=data)
    _understood(info)  # type: ignore[arg-type]  # what it reads of the asynchronous one


def checkpoint_config(data: bytes) -> None:
    checkpoint_folder(data, examples.safetensors_files()[0])


def checkpoint_folder(config: bytes, weights: bytes) -> None:
    place = folder() / "checkpoint"
    place.mkdir(exist_ok=True)
    (place / "config.json").write_bytes(config)
    (place / "model.safetensors").write_bytes(weights)
    open_checkpoint(place)


def config(data: bytes) -> None:
    file = folder() / "edged.toml"
    file.write_bytes(data)
    load_config({"HOME": "/nowhere", "EDGED_CONFIG": str(file)})


def gguf_file(data: bytes) -> None:
    file = folder() / "model.gguf"
    file.write_bytes(data)
    open_checkpoint(file)


def manifest(data: bytes) -> None:
    place = folder() / "manifest"
    if not place.exists():
        shutil.copytree(artefact(), place)
    (place / "manifest.json").write_bytes(data)
    read_manifest(place)


def mjpeg(data: bytes) -> None:
    parts = MjpegParts("multipart/x-mixed-replace; boundary=x")
    for start in range(0, len(data), 7):
        parts.push(data[start : start + 7])


def opus(data: bytes) -> None:
    decoder = OpusDecoder()
    while data:
        with contextlib.suppress(InvalidInput):
            decoder(data[1 : 1 + data[0]])
        data = data[1 + data[0] :]


def pake(data: bytes) -> None:
    for side in (ClientSide, DaemonSide):
        with contextlib.suppress(InvalidInput):
            side("123456").finish(data)


def template(data: bytes) -> None:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]
    ChatTemplate(data.decode(errors="replace"), name="chat_template.jinja").render(messages)


def tokenizer(data: bytes) -> None:
    file = folder() / "tokenizer.json"
    file.write_bytes(data)
    found = Tokenizer(file)
    found.decode(found.encode("Hello there"))


def tool_calls(data: bytes) -> None:
    text = data.decode(errors="replace")
    for form in (HERMES, MISTRAL, LLAMA):
        parser = ToolCallParser(form, ("look",), lambda: "1", parallel=True)
        for start in range(0, len(text), 5):
            parser.push(text[start : start + 5])
        parser.flush()


def torch_weights(data: bytes) -> None:
    file = folder() / "weights.pt"
    file.write_bytes(data)
    torch_file.read_tensors(file, "model_state")


def whisper_weights(data: bytes) -> None:
    file = folder() / "weights.bin"
    file.write_bytes(data)
    ggml_file.read_tensors(file, "silero-16k", 1)


def wyoming(data: bytes) -> None:
    async def read() -> None:
        reader = asyncio.StreamReader(limit=16_384)
        reader.feed_data(data)
        reader.feed_eof()
        while await read_event(reader):
            pass

    asyncio.run(read())


def some(*whole: bytes) -> Callable[[], list[bytes]]:
    return lambda: list(whole)


TARGETS: Mapping[str, Target] = MappingProxyType(
    {
        "announcement": Target(some(examples.ANNOUNCEMENT), announcement),
        "archive": Target(examples.archives, carried_in.archive),
        "archive_manifest": Target(examples.archive_manifests, carried_in.archive_manifest),
        "archived_conversation": Target(examples.archived_conversations, carried_in.archived_conversation),
        "bundle": Target(examples.bundles, carried_in.bundle),
        "bundle_manifest": Target(examples.bundle_manifests, parse_manifest),
        "certificate_request": Target(examples.certificate_requests, requested_key),
        "checkpoint_config": Target(examples.checkpoint_configs, checkpoint_config),
        "connect": Target(web_calls.requests, web_calls.connect),
        "config": Target(some(examples.CONFIG), config),
        "engine_tar": Target(examples.engine_tars, carried_in.engine_tar),
        "gguf": Target(examples.gguf_files, gguf_file),
        "link": Target(some(examples.LINK), lambda data: _from_link(data.decode(errors="replace"))),
        "manifest": Target(lambda: [(artefact() / "manifest.json").read_bytes()], manifest),
        "metadata": Target(examples.pictures, without_metadata),
        "mjpeg": Target(some(examples.MJPEG), mjpeg),
        "opus": Target(examples.opus_packets, opus),
        "pake": Target(lambda: [ClientSide("1").message, DaemonSide("1").message], pake),
        "picture": Target(examples.pictures, read_picture),
        "recording": Target(examples.recordings, lambda data: read_samples(data, AT_16_KHZ)),
        "safetensors": Target(
            examples.safetensors_files, lambda data: checkpoint_folder(examples.checkpoint_configs()[0], data)
        ),
        "template": Target(some(CHATML.encode()), template),
        "tokenizer": Target(lambda: [(artefact() / "tokenizer.json").read_bytes()], tokenizer),
        "tool_calls": Target(some(*examples.TOOL_CALLS), tool_calls),
        "torch_weights": Target(some(examples.TORCH_WEIGHTS), torch_weights),
        "websocket": Target(web_calls.spoken, web_calls.websocket),
        "whisper_weights": Target(examples.whisper_weights, whisper_weights),
        "wyoming": Target(some(examples.WYOMING), wyoming),
    }
)

"""`edged status`: what the running daemon does, enforces and keeps."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import click

from edged.cli.connection import running
from edged.cli.output import as_json, counted, human_bytes, local_time, print_json, printable
from edged.config import Config, load_config
from edged.errors import Unavailable
from edged.records import (
    CameraState,
    CameraStatus,
    DaemonStatus,
    EngineStatus,
    MicrophoneState,
    ModelInfo,
    PrivacyStatus,
    StoreStatus,
    ToolStatus,
    VoiceStatus,
)


@click.command()
@click.option("--json", "json_wanted", is_flag=True, help="Print one JSON object.")
@click.pass_context
def status(context: click.Context, json_wanted: bool) -> None:
    """Show what the running daemon does. Exits with 1 when none is running."""
    config = load_config()
    try:
        report, model = asyncio.run(_ask_daemon(config))
    except Unavailable as exc:
        if not json_wanted:
            raise
        print_json({"running": False, "reason": exc.message})
        context.exit(1)
    if json_wanted:
        fields = as_json(report)
        assert isinstance(fields, dict)
        print_json({"running": True, **fields})
        return
    for heading, lines in _sections(report, model):
        click.echo(click.style(heading, bold=True))
        for line in lines:
            click.echo(f"  {printable(line)}")


async def _ask_daemon(config: Config) -> tuple[DaemonStatus, ModelInfo | None]:
    async with running(config) as client:
        report = await client.status()
        models = await client.list_models()
    return report, next((model for model in models if model.name == report.engine.model), None)


def _sections(report: DaemonStatus, model: ModelInfo | None) -> list[tuple[str, list[str]]]:
    return [
        (
            f"edged {report.version}: {report.state.value}",
            [f"since {local_time(report.started_at)}", *(f"listening on {place}" for place in report.listening_on)],
        ),
        ("Engine", _engine(report.engine, model)),
        ("Conversations", _store(report.store)),
        *([("Voice", _voice(report.voice))] if report.voice else []),
        *([("Camera", _camera(report.camera))] if report.camera else []),
        *([("Tools", _tools(report.tools))] if report.tools else []),
        ("Privacy", _privacy(report.privacy)),
    ]


def _engine(engine: EngineStatus, model: ModelInfo | None) -> list[str]:
    lines = [
        f"{engine.model or 'none loaded'} on {engine.device}, context {engine.context_length} tokens, "
        f"loaded in {engine.load_seconds:.2f} s",
        f"{engine.active_requests} answering, {engine.queued_requests} of {engine.max_queued_requests} waiting",
        f"{counted(engine.cached_conversations, 'conversation')} cached, "
        f"{human_bytes(engine.kv_cache_bytes)} of {human_bytes(engine.kv_cache_limit_bytes)}",
    ]
    if model and model.reads != ("text",):
        lines.append(f"reads {', '.join(model.reads)}")
    if model and model.thinks:
        lines.append("can think before it answers")
    lines += _experts(engine.expert_load)
    if model and model.is_demo:
        lines.append(
            "demo-size model, not to be relied on; for a useful one: `make run MODEL=NAME` in a checkout "
            "(`python -m engines catalog` has names) or `edged models import`"
        )
    return lines


def _experts(load: tuple[tuple[float, ...], ...]) -> list[str]:
    """A line for each layer of a mixture of experts."""
    if not load:
        return []
    heading = f"load of {len(load[0])} experts, % of each layer's choices (even: {100 / len(load[0]):.1f})"
    rows = (" ".join(f"{100 * share:.1f}" for share in layer) for layer in load)
    return [heading, *(f"layer {number}: {row}" for number, row in enumerate(rows))]


def _store(store: StoreStatus) -> list[str]:
    if not store.database:  # which devices are not told
        return [f"{'encrypted' if store.encrypted else 'NOT encrypted'}. {store.protection}"]
    sealed = f"encrypted, key in {store.key_source}" if store.encrypted else "NOT encrypted"
    return [
        f"{counted(store.conversations, 'conversation')}, {counted(store.messages, 'message')}, "
        f"{human_bytes(store.database_bytes)}",
        f"{store.database}, {sealed}",
        store.protection,
        *([store.retention] if store.retention else []),
    ]


def _voice(voice: VoiceStatus) -> list[str]:
    trouble = (
        f"sound lost {voice.overruns} times, late {voice.underruns} times, devices came back {voice.reconnects} times"
    )
    is_open = voice.microphone is MicrophoneState.OPEN
    return [
        f"microphone {'OPEN' if is_open else voice.microphone.value}",
        *([voice.obstacle] if voice.obstacle else []),
        f"volume {voice.volume_percent} %, {trouble}",
    ]


def _camera(camera: CameraStatus) -> list[str]:
    state = "OPEN" if camera.state is CameraState.OPEN else camera.state.value
    return [f"{state} {camera.source}".rstrip(), *([camera.obstacle] if camera.obstacle else [])]


def _tools(tools: Sequence[ToolStatus]) -> list[str]:
    """What the model may do by itself."""
    return [", ".join(f"{tool.name} {'on' if tool.is_on else 'off'}" for tool in tools)]


def _privacy(privacy: PrivacyStatus) -> list[str]:
    lines = [f"{'on ' if item.active else 'OFF'} {item.name}: {item.detail}" for item in privacy.enforcements]
    lines.append(f"{counted(privacy.refused_connections, 'connection')} refused")
    if privacy.content_logging:
        lines.append("CONTENT LOGGING IS ON: what is said goes to the log (logging.content)")
    return lines

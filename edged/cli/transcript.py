"""Conversations on paper: as text for a terminal, as Markdown, as JSON."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType

import click

from edged.cli.output import as_json, local_time, print_table, printable
from edged.events import Audio, FinishReason, Image, Message, MessageState, Part, Text, ToolCall, ToolResult
from edged.records import Conversation, SearchHit, Transcript


def print_conversations(
    conversations: Iterable[Conversation], owner_names: Mapping[str, str] = MappingProxyType({})
) -> None:
    """A table, as ordered. owner_names: of those whose names are known, by `Conversation.owner`."""
    rows = [
        (
            item.id,
            local_time(item.updated_at),
            str(item.message_count),
            owner_names.get(item.owner, item.owner.partition(":")[2]),
            item.title,
        )
        for item in conversations
    ]
    if any(row[3] for row in rows):  # on a daemon that others use as well
        print_table(("ID", "LAST USED", "MESSAGES", "FROM", "TITLE"), rows)
    elif rows:
        print_table(("ID", "LAST USED", "MESSAGES", "TITLE"), [(*row[:3], row[4]) for row in rows])
    else:
        click.echo("No conversations.")


def print_hits(hits: Iterable[SearchHit]) -> None:
    """One line a hit; the match stands in bold on a terminal."""
    for hit in hits:
        click.echo(f"{hit.conversation.id}  {hit.role.value}: {_bold_matches(hit.snippet)}")


def unmarked(hits: Iterable[SearchHit]) -> list[SearchHit]:
    """The hits for JSON: without the marks around the match."""
    return [replace(hit, snippet=re.sub("[\x02\x03]", "", hit.snippet)) for hit in hits]


def as_text(transcript: Transcript) -> str:
    """For reading on a terminal; ends with a newline."""
    head = transcript.conversation
    lines = [f"{head.title} ({head.id}, {local_time(head.created_at)})"]
    for message in transcript.messages:
        lines += ["", f"{message.role.value}{_ending(message)}:", _content(message)]
    return printable("\n".join(lines)) + "\n"


def as_markdown(transcript: Transcript) -> str:
    """A Markdown document; ends with a newline."""
    head = transcript.conversation
    lines = [f"# {head.title}", "", f"Conversation {head.id}, begun {head.created_at.isoformat(timespec='seconds')}."]
    for message in transcript.messages:
        lines += ["", f"## {message.role.value.capitalize()}{_ending(message)}", ""]
        if message.reasoning:
            lines += [*(f"> {line}".rstrip() for line in message.reasoning.splitlines()), ""]
        lines.append(_content(message))
    return "\n".join(lines) + "\n"


def as_document(transcript: Transcript, *, with_attachments: bool) -> dict[str, object]:
    """For JSON. Attachments are in base64, or only named by type and size."""
    messages = []
    for message in transcript.messages:
        fields = as_json(message)
        assert isinstance(fields, dict)
        parts = [_part_document(part, with_attachments) for part in message.parts]
        messages.append({**fields, "parts": parts, "text": message.text})
    return {"conversation": as_json(transcript.conversation), "messages": messages}


def _part_document(part: Part, with_attachments: bool) -> dict[str, object]:
    match part:
        case Text(text=text):
            return {"type": "text", "text": text}
        case Image(data=data, media_type=media_type) | Audio(data=data, media_type=media_type):
            kind = "image" if isinstance(part, Image) else "audio"
            document: dict[str, object] = {"type": kind, "media_type": media_type, "bytes": len(data)}
            if isinstance(part, Audio) and part.transcript:
                document["transcript"] = part.transcript
            if with_attachments:
                document["base64"] = base64.b64encode(data).decode("ascii")
            return document
        case ToolCall(id=call_id, name=name, arguments=arguments):
            return {"type": "tool_call", "id": call_id, "name": name, "arguments": arguments}
        case ToolResult(call_id=call_id, content=content):
            return {"type": "tool_result", "call_id": call_id, "content": content}


def _content(message: Message) -> str:
    return "\n".join(map(_shown, message.parts))


def _shown(part: Part) -> str:
    match part:
        case Text(text=text):
            return text
        case ToolCall(name=name, arguments=arguments):
            return f"[called {name} {arguments}]"
        case ToolResult(content=content):
            return f"[returned] {content}"
    label = f"[{part.media_type}, {len(part.data)} bytes]"
    return f"{label} {part.transcript}" if isinstance(part, Audio) and part.transcript else label


def _ending(message: Message) -> str:
    if message.state is not MessageState.COMPLETE:
        return f" ({message.state.value})"
    return " (cut off)" if message.finish_reason is FinishReason.LENGTH else ""


def _bold_matches(snippet: str) -> str:
    """The snippet for a terminal: what stands between U+0002 and U+0003 in bold."""
    pieces = re.split("\x02(.*?)\x03", " ".join(snippet.split()))
    return "".join(click.style(printable(piece), bold=index % 2 == 1) for index, piece in enumerate(pieces))

"""`edged chat`: a conversation at the terminal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edged.cli.answer import CUT_OFF, Answer, demo_warning
from edged.cli.attachment import read_medium
from edged.cli.connection import held_client
from edged.cli.generation import Generation, generation_from, generation_options
from edged.cli.output import human_count, new_file, printable, say
from edged.cli.parameters import utf8
from edged.cli.terminal import Lines
from edged.cli.transcript import as_markdown, as_text, print_conversations, print_hits
from edged.config import load_config
from edged.errors import EdgedError, InvalidInput, Unavailable, nearest
from edged.events import FinishReason, Part, Role, Text
from edged.records import ModelInfo

if TYPE_CHECKING:
    from edged.client import Client


@click.command()
@click.option("--conversation", type=utf8, default="", metavar="ID", help="Go on with this conversation.")
@click.option("--continue", "continue_latest", is_flag=True, help="Go on with the latest conversation.")
@generation_options
def chat(conversation: str, continue_latest: bool, **options: Any) -> None:
    """Chat at the terminal; /help lists what else can be typed.

    Ctrl-C stops an answer, Ctrl-D leaves. Lines piped to stdin are answered one after the other, with an empty
    line between answers, and the first mistake ends it. Starts a daemon for itself when none is running.
    """
    if conversation and continue_latest:
        raise click.UsageError("--conversation and --continue exclude each other")
    config = load_config()
    # Ctrl-C inside `runner.run` cancels what it runs, and only that: the loop outlives a stopped answer.
    with asyncio.Runner() as runner:
        session = Chat(generation_from(options), runner, config.daemon.max_message_bytes)
        with held_client(runner, config) as client:
            session.open(client, conversation, continue_latest=continue_latest)
            session.loop(client)
        while session.is_open:  # the daemon has gone with the command that had started it
            with held_client(runner, config) as client:
                session.loop(client)


class Chat:
    """One sitting: which conversation it is in, and how answers are generated."""

    _client: Client

    def __init__(self, generation: Generation, runner: asyncio.Runner, max_message_bytes: int) -> None:
        self.is_open = True
        """Until /quit or the end of input."""
        self._generation = generation
        self._max_message_bytes = max_message_bytes
        self._attached: list[Part] = []
        self._runner = runner
        self._lines = Lines()
        self._conversation_id = ""
        self._has_answered = False

    def open(self, client: Client, conversation_id: str, *, continue_latest: bool) -> None:
        """Say what answers, and go on with a conversation if that is wanted."""
        self._client = client
        self._introduce(self._runner.run(self._client.get_model(self._generation.model)))
        if continue_latest:
            latest = self._runner.run(self._client.list_conversations(own=True, page_size=1)).conversations
            if latest:
                conversation_id = latest[0].id
            else:
                say("there is no conversation to go on with: this begins the first")
        if conversation_id:
            self.resume(conversation_id)

    def loop(self, client: Client) -> None:
        """Take lines until /quit, the end of input, or the daemon has gone.

        What fails interactively is shown and survived.
        """
        self._client = client
        interrupted = False
        while self.is_open:
            try:
                line = self._lines.read("> ")
                if line is None:
                    self.is_open = False
                    return
                interrupted = False
                self._take(line)
            except KeyboardInterrupt:
                if interrupted or not self._lines.is_interactive:
                    raise
                interrupted = True
                _remark("\n(Ctrl-C again or Ctrl-D to leave)")
            except EdgedError as exc:
                if not self._lines.is_interactive:
                    raise
                say(exc.message)
                if exc.reason == Unavailable.reason:
                    return

    def _take(self, line: str) -> None:
        if not line.strip():
            return
        if not line.startswith("/"):
            self._answer(utf8(line))
            return
        word, _, argument = line.strip().partition(" ")
        if word not in COMMANDS:
            raise InvalidInput(f"no command {word}{nearest(word, COMMANDS)}; /help lists them")
        COMMANDS[word][1](self, argument.strip())

    def _answer(self, text: str) -> None:
        answer = Answer()
        if self._has_answered and not self._lines.is_interactive:
            click.echo()
        self._has_answered = True
        try:
            self._runner.run(self._follow(answer, text))
        except (KeyboardInterrupt, asyncio.CancelledError):
            if not self._lines.is_interactive:
                raise
            _remark("(stopped)")
        if answer.started:
            self._conversation_id = answer.started.conversation_id
            self._generation.system_prompt = None  # stored with the conversation now
            self._attached.clear()
        if answer.finish_reason is FinishReason.LENGTH:
            _remark(f"({CUT_OFF})")

    async def _follow(self, answer: Answer, text: str) -> None:
        this = asyncio.current_task()
        assert this is not None
        with self._lines.watched({"/stop": this.cancel, "/answer": lambda: self._begin_cutting_short(answer)}):
            await answer.follow(
                self._client.ask(
                    [*self._attached, Text(text=text)],
                    conversation_id=self._conversation_id,
                    model=self._generation.model,
                    sampling=self._generation.sampling,
                    enable_thinking=self._generation.enable_thinking,
                    max_reasoning_tokens=self._generation.max_reasoning_tokens,
                    system_prompt=self._generation.system_prompt,
                    incognito=self._generation.incognito,
                )
            )

    def _begin_cutting_short(self, answer: Answer) -> None:
        self._cutting_short = asyncio.create_task(self._cut_short(answer))  # kept, or it might vanish

    async def _cut_short(self, answer: Answer) -> None:
        if answer.started:
            with suppress(EdgedError):  # the answer is over by now
                await self._client.stop_thinking(answer.started.answer_message_id)

    def attach(self, file: str) -> None:
        """Show the picture or recording in FILE with your next message; `-` takes back what waits."""
        if not file:
            raise InvalidInput("/attach needs the file of a picture or a recording")
        if file == "-":
            self._attached.clear()
            _remark("Nothing goes with your next message.")
            return
        self._attached.append(read_medium(Path(file).expanduser(), max_bytes=self._max_message_bytes))
        count = len(self._attached)
        _remark(f"Goes with your next message{f', as do {count - 1} more' if count > 1 else ''}.")

    def new(self, _: str) -> None:
        """Start a new conversation."""
        self._conversation_id = ""
        _remark("A new conversation begins with your next message.")

    def search(self, words: str) -> None:
        """Search everything that was said."""
        hits = self._runner.run(self._client.search(words)).hits
        print_hits(hits)
        if not hits:
            click.echo("Nothing found.")

    def export(self, file: str) -> None:
        """Write this conversation to FILE as Markdown, or show it."""
        if self._generation.incognito:
            raise InvalidInput("an incognito conversation cannot be exported; /delete forgets it now")
        transcript = self._runner.run(self._client.get_conversation(self._current()))
        if not file:
            click.echo(as_text(transcript), nl=False)
            return
        with new_file(Path(file).expanduser()) as stream:
            stream.write(as_markdown(transcript))
        click.echo(f"Wrote {file}.")

    def delete(self, _: str) -> None:
        """Delete this conversation for good."""
        current = self._current()
        if self._lines.confirm("Delete this conversation for good?"):
            self._runner.run(self._client.delete(current))
            self._conversation_id = ""
            click.echo("Deleted.")

    def stop(self, _: str) -> None:
        """Stop the answer that is being written (as Ctrl-C does)."""
        click.echo("Nothing is being answered.")

    def answer(self, _: str) -> None:
        """Let a model that thinks stop that and answer."""
        click.echo("Nothing is being thought about.")

    def system(self, text: str) -> None:
        """Show the system prompt, or set it to TEXT: who the assistant is to be from here on. `-` removes it."""
        if not text:
            click.echo(printable(self._system_prompt()) or "No system prompt of its own: the daemon's default holds.")
            return
        self._generation.system_prompt = "" if text == "-" else text
        _remark("Removed from your next message on." if text == "-" else "Holds from your next message on.")

    def model(self, name: str) -> None:
        """Answer with the engine NAME from here on, or list the engines."""
        if name:
            found = self._runner.run(self._client.get_model(name))
            self._generation.model = found.name
            self._introduce(found)
            return
        answering = self._runner.run(self._client.get_model(self._generation.model)).name
        for model in self._runner.run(self._client.list_models()):
            mark = " (answers now)" if model.name == answering else ""
            click.echo(f"{model.name}  {human_count(model.parameters)}, {model.precision}{mark}")

    def conversations(self, _: str) -> None:
        """List the latest conversations."""
        print_conversations(self._runner.run(self._client.list_conversations(page_size=20)).conversations)

    def resume(self, conversation_id: str) -> None:
        """Go on with the conversation ID, showing how it ended."""
        if not conversation_id:
            raise InvalidInput("/resume needs the ID of a conversation; /conversations lists them")
        transcript = self._runner.run(self._client.get_conversation(conversation_id))
        self._conversation_id = transcript.conversation.id
        if self._lines.is_interactive:
            click.echo(as_text(transcript), nl=False)

    def help(self, _: str) -> None:
        """Show this list."""
        usages = {f"{word} {metavar}".strip(): action.__doc__ or "" for word, (metavar, action) in COMMANDS.items()}
        width = max(map(len, usages))
        for usage, meaning in usages.items():
            click.echo(f"{usage.ljust(width)}  {meaning}")
        click.echo("Everything else is a message; begin it with a space if it starts with a slash.")

    def quit(self, _: str) -> None:
        """Leave; the conversation stays."""
        self.is_open = False

    def _introduce(self, model: ModelInfo) -> None:
        """Say what answers; a script is told only what it must know."""
        if self._lines.is_interactive:
            _remark(_banner(model))
        elif model.is_demo:
            say(demo_warning(model))

    def _system_prompt(self) -> str:
        """That of the next message; empty for none of its own."""
        if self._generation.system_prompt is not None or not self._conversation_id:
            return self._generation.system_prompt or ""
        messages = self._runner.run(self._client.get_conversation(self._conversation_id)).messages
        return next((message.text for message in messages if message.role is Role.SYSTEM), "")

    def _current(self) -> str:
        if not self._conversation_id:
            raise InvalidInput("no conversation yet: say something, or /resume one")
        return self._conversation_id


COMMANDS: dict[str, tuple[str, Callable[[Chat, str], None]]] = {
    "/new": ("", Chat.new),
    "/attach": ("FILE", Chat.attach),
    "/search": ("WORDS", Chat.search),
    "/export": ("[FILE]", Chat.export),
    "/delete": ("", Chat.delete),
    "/stop": ("", Chat.stop),
    "/answer": ("", Chat.answer),
    "/system": ("[TEXT]", Chat.system),
    "/model": ("[NAME]", Chat.model),
    "/conversations": ("", Chat.conversations),
    "/resume": ("ID", Chat.resume),
    "/help": ("", Chat.help),
    "/quit": ("", Chat.quit),
}
"""What a line may start with: what follows the word, and what it does (its docstring is its help)."""


def _banner(model: ModelInfo) -> str:
    if not model.is_demo:
        return f"{model.name}, {model.precision}. /help lists commands, Ctrl-C stops an answer, Ctrl-D leaves."
    return f"{demo_warning(model)}\n/help lists commands, Ctrl-C stops an answer, Ctrl-D leaves."


def _remark(text: str) -> None:
    """Beside the answers: on stderr, which a terminal shows in the same place."""
    click.echo(text, err=True)

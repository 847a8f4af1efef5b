"""One step of driving a phone: what the model is told, and what a person has to agree to."""

from __future__ import annotations

import io
import re
from contextlib import aclosing
from dataclasses import replace
from datetime import date
from pathlib import Path

import PIL.Image
import pytest
from PIL import ImageDraw

from edged.config import EngineConfig
from edged.engine.worker import EngineWorker
from edged.errors import ContextOverflow, EdgedError, InvalidInput, MalformedAction, MissingExtra
from edged.events import Finished, FinishReason, Image, Measured, ReasoningDelta, Role, Text, TextDelta
from edged.pipeline.phone.agent import AgentEvent, PhoneAgent
from edged.pipeline.phone.confirmation import confirmation
from edged.pipeline.phone.dialect import read
from edged.pipeline.phone.screen import MAX_SAID_BYTES, in_words
from edged.records import Back, Launch, PastStep, PhoneLanguage, PhoneStep, ScreenPlace, StepRequest, Tap
from edged.vision.ocr import Ocr
from edged.vision.sight import Sight
from edged.vision.weights import text_folder
from tests.pipeline.phone_screen import HEIGHT, WIDTH, Lines, ScriptedSight, png, screen_of
from tests.sensing_artefact import sensing_artefact
from tests.server.scripted import END, ScriptedModel, Step, says, until
from tests.tiny_artefact import tiny_artefact

REQUEST = StepRequest(task="Tell Ann that I am late", screenshot=png(), app="Launcher")
TAP = 'do(action="Tap", element=[500,250])'


async def steps(model: ScriptedModel | EngineWorker, lines: Lines | None, request: StepRequest) -> list[AgentEvent]:
    agent = PhoneAgent(model, ScriptedSight(lines), today=lambda: date(2026, 5, 4))
    async with aclosing(agent.step(request)) as events:
        return [event async for event in events]


async def stepped(script: list[Step], *, sees: bool = False, lines: Lines | None = None) -> PhoneStep:
    model = ScriptedModel(script)
    model.can_see = sees
    (step,) = [event for event in await steps(model, lines, REQUEST) if isinstance(event, PhoneStep)]
    return step


async def test_thinking_then_the_step_then_what_it_took() -> None:
    script: list[Step] = [ReasoningDelta(text="Hm"), TextDelta(text=TAP[:9]), TextDelta(text=TAP[9:]), *END]
    thought, step, measured = await steps(ScriptedModel(script), {}, REQUEST)
    assert thought == ReasoningDelta(text="Hm") and isinstance(measured, Measured)
    assert step == PhoneStep(action=Tap(element=ScreenPlace(x=500, y=250)), confirmation="", width=WIDTH, height=HEIGHT)
    assert ScreenPlace(x=500, y=250).pixel(WIDTH, HEIGHT) == (54, 60)
    assert ScreenPlace(x=999, y=999).pixel(WIDTH, HEIGHT) == (WIDTH - 1, HEIGHT - 1)


async def test_a_model_that_reads_text_alone_is_told_what_stands_where() -> None:
    model = ScriptedModel(says(TAP))
    await steps(model, {"Messages": (120, 300), "Settings": (700, 300)}, REQUEST)
    (request,) = model.requests
    screen, asked = request.messages[-1].parts
    assert isinstance(screen, Text) and "[120,300] Messages\n[700,300] Settings" in screen.text
    assert isinstance(asked, Text) and asked.text.startswith("Tell Ann that I am late")
    assert '{"current_app": "Launcher"}' in asked.text
    assert request.messages[0].role is Role.SYSTEM and "2026-05-04" in request.messages[0].text


async def test_a_model_that_sees_is_shown_the_newest_screen_alone() -> None:
    model = ScriptedModel(says(TAP))
    model.can_see = True
    past = (PastStep(action=Launch(app="Mail")), PastStep(action=Back(), failure="no such app"))
    await steps(model, {}, replace(REQUEST, history=past))
    messages = model.requests[0].messages
    assert [part for message in messages for part in message.parts if isinstance(part, Image)] == [
        Image(data=REQUEST.screenshot, media_type="image/png")
    ]
    said = [message.text for message in messages[1:]]
    assert said[0] == REQUEST.task
    assert said[1] == '<answer>do(action="Launch", app="Mail")</answer>'
    assert said[3] == '<answer>do(action="Back")</answer>'
    assert "no such app" in said[4] and REQUEST.task in said[4]
    assert [message.role for message in messages] == [Role.SYSTEM, *[Role.USER, Role.ASSISTANT] * 2, Role.USER]


async def test_each_prompt_begins_as_the_last_one() -> None:
    """Else the whole of it would be computed anew."""
    model = ScriptedModel(says(TAP))
    past = [PastStep(action=Launch(app="Mail")), PastStep(action=Back()), PastStep(action=Back())]
    for count in range(1, 4):
        await steps(model, {}, replace(REQUEST, history=tuple(past[:count])))
    for before, after in zip(model.requests, model.requests[1:], strict=False):
        assert after.messages[: len(before.messages) - 1] == before.messages[:-1]


@pytest.mark.parametrize(("task", "language", "word"), [("打开微信", None, "机主"), ("打开微信", "en", "owner")])
async def test_the_language_of_the_task(task: str, language: str | None, word: str) -> None:
    model = ScriptedModel(says(TAP))
    asked = replace(REQUEST, task=task, language=PhoneLanguage(language) if language else None)
    await steps(model, {}, asked)
    assert word in model.requests[0].messages[0].text


@pytest.mark.parametrize(
    ("action", "lines", "reason"),
    [
        (TAP, {"Next": (500, 250)}, ""),
        (TAP, {"Pay now": (500, 250)}, '"Pay now"'),
        (TAP, {"立即支付": (420, 260)}, "立即支付"),
        (TAP, {"Pay now": (500, 900)}, ""),
        (TAP, {"Payload": (500, 250)}, ""),
        (TAP, {"OK": (500, 250), "Delete this photo?": (500, 100)}, "Delete this photo?"),
        (TAP, {"确定": (500, 250), "删除这条消息？": (500, 100)}, "删除这条消息"),
        (TAP, {"OK": (500, 250), "Welcome": (500, 100)}, ""),
        (TAP, None, "nobody could read"),
        ('do(action="Long Press", element=[500,250])', {"Delete": (500, 250)}, "Delete"),
        ('do(action="Tap", element=[1,1], message="pays 3 euros")', {}, "pays 3 euros"),
        ('do(action="Swipe", start=[500,250], end=[500,9])', {"Send": (500, 250)}, ""),
        ('do(action="Swipe", start=[500,250], end=[900,250])', {"Slide to pay": (500, 250)}, "Slide to pay"),
        ('do(action="Take_over", message="log in")', {}, "log in"),
        ('do(action="Interact")', {}, "choose"),
        ('do(action="Type", text="hi\\n")', {}, "send"),
        ('do(action="Type", text="pay")', {}, ""),
        ('do(action="Back")', None, ""),
    ],
)
def test_what_a_person_has_to_agree_to(action: str, lines: Lines | None, reason: str) -> None:
    found = confirmation(read(action), screen_of(lines) if lines is not None else None)
    assert reason in found if reason else found == ""


async def test_taps_of_a_model_that_sees_are_read_as_well() -> None:
    assert "Pay" in (await stepped(says(TAP), sees=True, lines={"Pay": (500, 250)})).confirmation
    assert "nobody" in (await stepped(says(TAP), sees=True, lines=None)).confirmation


async def test_without_eyes_and_without_a_reader() -> None:
    with pytest.raises(MissingExtra):
        await stepped(says(TAP), lines=None)


@pytest.mark.parametrize(
    ("script", "error"),
    [
        (says(TAP, TAP), MalformedAction),
        (says("Sure!"), MalformedAction),
        ([TextDelta(text='do(action="Ta'), Finished(finish_reason=FinishReason.LENGTH)], ContextOverflow),
    ],
)
async def test_what_is_no_action_is_no_step(script: list[Step], error: type[EdgedError]) -> None:
    with pytest.raises(error):
        await stepped(script, sees=True, lines={})


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"task": " "}, "task"),
        ({"task": "x" * 2001}, "task"),
        ({"screenshot": b""}, "screenshot"),
        ({"screenshot": b"no picture"}, "screenshot"),
        ({"app": "x" * 201}, "app"),
        ({"max_reasoning_tokens": -1}, "max_reasoning_tokens"),
        ({"max_reasoning_tokens": 8193}, "max_reasoning_tokens"),
        ({"history": (PastStep(action=Back()),) * 101}, "history"),
        ({"history": (PastStep(action=Launch(app="x" * 3000)),)}, "history[0]"),
        ({"history": (PastStep(action=Back(), failure="x" * 501),)}, "history[0]"),
    ],
)
async def test_what_is_refused(change: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        await steps(ScriptedModel(), {}, replace(REQUEST, **change))  # type: ignore[arg-type]
    assert raised.value.field == field


def test_a_screen_full_of_words_is_cut() -> None:
    lines = {f"{'好' * 30} {number}": (500, 10 + number) for number in range(200)}
    said = in_words(screen_of(lines))
    assert len(said.encode()) < MAX_SAID_BYTES + 200 and "more lines" in said
    assert "no text" in in_words(screen_of({}))


async def test_closing_it_stops_the_model() -> None:
    model = ScriptedModel([ReasoningDelta(text="Hm"), "wait", *says(TAP)])
    events = PhoneAgent(model, ScriptedSight({})).step(REQUEST)
    await anext(events)
    await events.aclose()
    await until(lambda: model.stopped_early == 1)


async def test_a_model_that_knows_nothing_still_writes_an_action(tmp_path: Path) -> None:
    """Random weights, held by the grammar alone."""
    worker = EngineWorker(EngineConfig(default="seed0", threads=1, max_seq_len=8192), [tmp_path])
    for seed in range(3):
        tiny_artefact(tmp_path, f"seed{seed}", seed=seed, context_length=8192)
    await worker.start()
    try:
        for seed in range(3):
            asked = replace(REQUEST, model=f"seed{seed}", max_reasoning_tokens=5, task="t")
            thinking, answering = [], []
            for event in await steps(worker, {"Pay": (500, 250)}, asked):
                (thinking if isinstance(event, ReasoningDelta) else answering).append(event)
            assert thinking and isinstance(answering[0], PhoneStep)
    finally:
        await worker.close()


async def test_a_model_that_sees_pays_for_one_screenshot(tmp_path: Path) -> None:
    """However many there were before; what was said of those is still in the cache."""
    sensing_artefact(tmp_path, context_length=8192)
    worker = EngineWorker(EngineConfig(default="sensing", threads=1, max_seq_len=8192), [tmp_path])
    past = tuple(PastStep(action=Launch(app=f"App {number}")) for number in range(6))
    asked = replace(REQUEST, max_reasoning_tokens=3, screenshot=png(640, 960))
    await worker.start()
    try:
        usages = []
        for count in (1, 5, 6):
            *_, step, measured = await steps(worker, {}, replace(asked, history=past[:count]))
            assert isinstance(step, PhoneStep) and step.height == 960
            assert isinstance(measured, Measured)
            usages.append(measured.usage)
    finally:
        await worker.close()
    first, fifth, sixth = (usage.prompt_tokens for usage in usages)
    assert fifth - first == 4 * (sixth - fifth), "a step costs its words"
    assert usages[2].cached_tokens > fifth - first


async def test_a_drawn_screen_is_really_read() -> None:
    drawn = PIL.Image.new("RGB", (540, 1200), "white")
    for text, middle in {"Order summary": 120, "Pay now": 600, "Back to shop": 1080}.items():
        ImageDraw.Draw(drawn).text((270, middle), text, fill="black", font_size=40, anchor="mm")
    file = io.BytesIO()
    drawn.save(file, "PNG")
    sight, model = Sight(lambda: Ocr(text_folder(), threads=2)), ScriptedModel(says(TAP.replace("250", "505")))
    try:
        async with aclosing(PhoneAgent(model, sight).step(replace(REQUEST, screenshot=file.getvalue()))) as events:
            (step,) = [event async for event in events if isinstance(event, PhoneStep)]
    finally:
        sight.close()
    assert "Pay now" in step.confirmation
    told = model.requests[0].messages[-1].text
    places = {text: (int(x), int(y)) for x, y, text in re.findall(r"\[(\d+),(\d+)\] (.+)", told)}
    for text, middle in {"Order summary": 100, "Pay now": 500, "Back to shop": 900}.items():
        assert abs(places[text][0] - 500) < 20 and abs(places[text][1] - middle) < 10

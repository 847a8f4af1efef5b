"""The agent service through the client, and over the wire."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import grpc
import pytest
from hypothesis import given

from edged import wire
from edged.client import Client
from edged.errors import Code, InvalidInput, RemoteError
from edged.events import Measured, ReasoningDelta, TextDelta
from edged.records import Back, Home, PastStep, PhoneAction, PhoneLanguage, PhoneStep, ScreenPlace, StepRequest, Tap
from edged.v1 import agent_pb2 as pb
from edged.v1 import agent_pb2_grpc
from tests.pipeline.phone_screen import HEIGHT, WIDTH, ScriptedSight, png
from tests.pipeline.test_phone_dialect import actions
from tests.server.conftest import Daemon
from tests.server.scripted import END, WAIT, says, until

TAP = 'do(action="Tap", element=[500,250])'
REQUEST = StepRequest(task="Pay Ann", screenshot=png())
FULL = StepRequest(
    task="Pay Ann",
    screenshot=png(),
    history=(PastStep(action=Back()), PastStep(action=Home(), failure="locked")),
    app="Wallet",
    model="tiny",
    language=PhoneLanguage.CHINESE,
    enable_thinking=False,
    max_reasoning_tokens=0,
)


@pytest.fixture
async def driver(run_dir: Path) -> AsyncIterator[Daemon]:
    daemon = Daemon(run_dir / "s", sight=ScriptedSight({"Pay now": (500, 250)}))  # type: ignore[arg-type]
    await daemon.server.start(daemon.socket)
    daemon.server.serve()
    yield daemon
    await daemon.server.drain(0)


@pytest.fixture
async def driving(driver: Daemon) -> AsyncIterator[Client]:
    async with Client(driver.address) as client:
        yield client


async def test_a_step(driver: Daemon, driving: Client) -> None:
    driver.model.script = [ReasoningDelta(text="Hm"), TextDelta(text=TAP), *END]
    async with aclosing(driving.agent.step(REQUEST)) as events:
        thought, step, measured = [event async for event in events]
    assert thought == ReasoningDelta(text="Hm") and isinstance(measured, Measured)
    assert isinstance(step, PhoneStep) and (step.width, step.height) == (WIDTH, HEIGHT)
    assert step.action == Tap(element=ScreenPlace(x=500, y=250)) and "Pay now" in step.confirmation
    assert driver.memory.messages == {}, "nothing of it is stored"


async def test_pixels_and_confirmation_on_the_wire(driver: Daemon) -> None:
    driver.model.script = says(TAP)
    async with grpc.aio.insecure_channel(driver.address) as channel:
        call = agent_pb2_grpc.AgentServiceStub(channel).Step(wire.step_request_to_wire(FULL))
        (step,) = [response.step async for response in call if response.HasField("step")]
    element = step.action.tap.element
    assert (element.x, element.y, element.pixel_x, element.pixel_y) == (500, 250, 54, 60)
    assert step.needs_confirmation
    (request,) = driver.model.requests
    assert not request.enable_thinking and request.max_reasoning_tokens == 0


@pytest.mark.parametrize("request_", [REQUEST, FULL])
def test_requests_cross_the_wire(request_: StepRequest) -> None:
    assert wire.step_request_from_wire(wire.step_request_to_wire(request_)) == request_


@given(actions)
def test_actions_cross_the_wire(action: PhoneAction) -> None:
    assert wire.action_from_wire(wire.action_to_wire(action, 1080, 2400)) == action


@pytest.mark.parametrize(
    ("action", "field"),
    [
        (pb.PhoneAction(), "action"),
        (pb.PhoneAction(tap=pb.Tap()), "action.tap.element"),
        (pb.PhoneAction(tap=pb.Tap(element=pb.ScreenPlace(x=1000))), "action.tap.element"),
        (pb.PhoneAction(swipe=pb.Swipe(start=pb.ScreenPlace(), end=pb.ScreenPlace(y=-1))), "action.swipe.end"),
        (pb.PhoneAction(wait=pb.Wait(seconds=1000)), "action.wait.seconds"),
    ],
)
def test_actions_that_are_none(action: pb.PhoneAction, field: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        wire.action_from_wire(action)
    assert raised.value.field == field


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.StepRequest(), "task"),
        (pb.StepRequest(task="x"), "screenshot"),
        (pb.StepRequest(task="x", screenshot={"data": b"GIF89a"}), "screenshot"),
        (pb.StepRequest(task="x", screenshot={"data": png()}, language=9), "language"),  # type: ignore[arg-type]
        (pb.StepRequest(task="x", screenshot={"data": png()}, history=[pb.PastStep()]), "history[0].action"),
        (pb.StepRequest(task="x", screenshot={"data": png()}, history=[pb.PastStep()] * 101), "history"),
    ],
)
async def test_what_is_refused(driver: Daemon, driving: Client, request_: pb.StepRequest, field: str) -> None:
    with pytest.raises(RemoteError) as raised, driving._remote_errors():
        async for _ in driving.agent._stub.Step(request_):
            pass
    assert (raised.value.code, raised.value.field) == (Code.INVALID_ARGUMENT, field)
    assert driver.model.requests == []


async def test_a_malformed_action_is_an_error(driver: Daemon, driving: Client) -> None:
    driver.model.script = says(TAP, TAP)
    with pytest.raises(RemoteError) as raised:
        async for event in driving.agent.step(REQUEST):
            assert not isinstance(event, PhoneStep)
    assert (raised.value.code, raised.value.reason) == (Code.INTERNAL, "MALFORMED_ACTION")


async def test_leaving_stops_the_model(driver: Daemon, driving: Client) -> None:
    driver.model.script = [ReasoningDelta(text="Hm"), WAIT, *END]
    async with aclosing(driving.agent.step(REQUEST)) as events:
        await anext(events)
    await until(lambda: driver.model.stopped_early == 1)

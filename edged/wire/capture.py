"""The daemon's own camera: its state, and the pictures that it takes."""

from __future__ import annotations

from dataclasses import replace

from edged import records
from edged.v1 import capture_pb2, status_pb2
from edged.wire.values import copy_from_wire, copy_to_wire, inverse, member, numbers, time_from_wire, time_to_wire

_STATES = numbers(records.CameraState, status_pb2.CameraState, "CAMERA_STATE")
_STATE_OF = inverse(_STATES)


def camera_to_wire(camera: records.CameraStatus) -> status_pb2.CameraStatus:
    return copy_to_wire(camera, status_pb2.CameraStatus, state=_STATES[camera.state])


def camera_from_wire(camera: status_pb2.CameraStatus) -> records.CameraStatus:
    return replace(copy_from_wire(camera, records.CameraStatus), state=member(_STATE_OF, camera.state, "camera.state"))


def frame_to_wire(frame: records.CameraFrame) -> capture_pb2.Frame:
    return capture_pb2.Frame(jpeg=frame.jpeg, taken_at=time_to_wire(frame.taken_at))


def frame_from_wire(frame: capture_pb2.Frame) -> records.CameraFrame:
    return records.CameraFrame(jpeg=frame.jpeg, taken_at=time_from_wire(frame.taken_at, "taken_at"))

"""edged.v1.ModelService."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import grpc

from edged import wire
from edged.errors import NotFound, nearest
from edged.records import EngineStatus, ModelInfo
from edged.v1 import model_pb2 as pb
from edged.v1 import model_pb2_grpc


class Engines(Protocol):
    """What is installed and what of it runs."""

    def models(self) -> Sequence[ModelInfo]:
        """All installed engines, by name."""
        ...

    def status(self) -> EngineStatus:
        """What the device is doing now."""
        ...


class ModelServicer(model_pb2_grpc.ModelServiceServicer):
    """See model.proto for what each call does."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines

    async def ListModels(
        self, request: pb.ListModelsRequest, context: grpc.aio.ServicerContext
    ) -> pb.ListModelsResponse:
        models = sorted(self._engines.models(), key=lambda model: not model.is_default)
        return pb.ListModelsResponse(models=map(wire.model_to_wire, models))

    async def GetModel(self, request: pb.GetModelRequest, context: grpc.aio.ServicerContext) -> pb.GetModelResponse:
        models = self._engines.models()
        for model in models:
            if model.name == request.name or (model.is_default and not request.name):
                return pb.GetModelResponse(model=wire.model_to_wire(model))
        raise NotFound(
            f"no engine {request.name[:60]!r} is installed{nearest(request.name, [model.name for model in models])}; "
            "`edged models list` shows what is",
            resource=("model", request.name),
        )

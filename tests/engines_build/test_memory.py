"""Memory by arithmetic, against engines that were written and against figures worked out elsewhere."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_phone import save_phone, tiny_phone

from edged.errors import InvalidInput
from engines.architecture import Architecture
from engines.autoglm_phone.config import FULL_SIZE
from engines.build import DESTINATION
from engines.catalog import CATALOG
from engines.graph.decoder import write_decoder
from engines.graph.integer_weights import IntegerFormat, IntegerWeights
from engines.graph.model_file import Activations, ModelFile
from engines.graph.onnxruntime import OnnxRuntimeDialect
from engines.memory import CONTEXTS, DEVICES, GB, footprint, text_shape, vision_weights
from engines.plan import describe, plan
from engines.quantize import Rounding
from engines.recipe import load_recipe
from engines.rope import Rope
from tests.bench import random_model

CONSTANTS = 512
"""Bytes of shapes and numbers of the graph itself, at most."""


def stored_bytes(graph: Path) -> int:
    """Of all weights a graph uses; those that are the same under two names count once."""
    found: dict[str, int] = {}
    for tensor in onnx.load(graph, load_external_data=False).graph.initializer:
        place = {item.key: item.value for item in tensor.external_data}
        name = tensor.name.removesuffix(".column")
        found[place.get("offset", name)] = int(place.get("length", len(tensor.raw_data)))
    return sum(found.values())


@pytest.mark.parametrize(("block_size", "gigabytes"), [(32, 4.94), (128, 4.53)], ids=["blocks of 32", "blocks of 128"])
def test_what_a_token_of_the_9b_model_reads(block_size: int, gigabytes: float) -> None:
    """The linear layers and the head in INT4 with float16 scales, as others have counted them."""
    needs = footprint(CATALOG["autoglm-phone-9b"].shape, random_model.random_format(block_size), activations="float16")
    assert round(needs.read_per_token(0) / GB, 2) == gigabytes
    assert needs.kv(1) == 40 * 2 * 2 * 128 * 2


def test_least_times_of_a_token() -> None:
    needs = footprint(CATALOG["autoglm-phone-9b"].shape, random_model.random_format(128), activations="float16")
    speeds = {name: round(1000 / needs.token_ms(device, 0)) for name, device in DEVICES.items()}
    assert (speeds["jetson-agx-orin-64gb"], speeds["rtx-4090"], speeds["h100"]) == (45, 223, 740)


def test_weights_of_the_vision_tower() -> None:
    vision = CATALOG["autoglm-phone-9b"].vision
    assert vision is not None
    assert vision_weights(vision, 16) / 2 == pytest.approx(0.89e9, rel=0.01)


def test_catalog_and_model_have_one_shape() -> None:
    shape = text_shape(random_model.glm_9b(), positions=8192, qkv_bias=True)
    assert shape == CATALOG["autoglm-phone-9b"].shape


@st.composite
def architectures(draw: st.DrawFn) -> Architecture:
    """Small ones with every feature that takes memory."""
    layers, kv_heads = draw(st.integers(1, 2)), draw(st.sampled_from([1, 2]))
    sees = draw(st.booleans())
    rope = Rope(frequencies=tuple(float(2**-power) for power in range(8)), sections=(2, 3, 3) if sees else ())
    return dataclasses.replace(
        random_model.tiny(),
        layers=layers,
        windows=(0,) * layers,
        ropes=(rope,) * layers,
        hidden_size=draw(st.sampled_from([64, 80, 128])),
        intermediate_size=draw(st.sampled_from([96, 160, 224])),
        heads=kv_heads * draw(st.integers(1, 2)),
        kv_heads=kv_heads,
        tied=draw(st.booleans()),
        head_norms=draw(st.booleans()),
        post_norms=draw(st.booleans()),
    )


@st.composite
def mixtures(draw: st.DrawFn) -> Architecture:
    """Small ones of experts and adapters, of widths that want smaller blocks than the recipe's, too."""
    experts = draw(st.sampled_from([2, 8, 9]))
    return dataclasses.replace(
        random_model.tiny_phone(),
        hidden_size=draw(st.sampled_from([64, 80, 128])),
        intermediate_size=draw(st.sampled_from([96, 160, 192])),
        experts=experts,
        experts_per_token=draw(st.integers(1, experts)),
        adapter_ranks=draw(st.sampled_from([(16, 32), (32, 32), (64, 128)])),
        tied=draw(st.booleans()),
    )


@st.composite
def formats(draw: st.DrawFn) -> IntegerFormat:
    def rounding(bits: int, *, symmetric: bool = True) -> Rounding:
        size = draw(st.sampled_from([32, 64, 128]))
        return Rounding(bits=8 if bits == 8 else 4, block_size=size, symmetric=symmetric, keep=False)

    exceptions = st.sampled_from(
        [(), (("layers.0.down", 8),), (("head", 16), ("layers.*.o", 16)), (("embedding", 16),), (("*", 16),)]
    )
    return IntegerFormat(
        linear=rounding(4, symmetric=draw(st.booleans())),
        minimum={},
        embedding=rounding(draw(st.sampled_from([4, 8]))),
        head=rounding(draw(st.sampled_from([4, 8]))),
        bits=draw(exceptions),
    )


@settings(max_examples=20, deadline=None)
@given(architectures() | mixtures(), formats(), st.sampled_from(["float32", "float16"]), st.booleans())
def test_arithmetic_is_what_the_writer_stores(
    arch: Architecture, storage: IntegerFormat, activations: Activations, biased: bool
) -> None:
    with TemporaryDirectory() as name:
        checkpoint = random_model.random_checkpoint(arch, Path(name), ("q", "k", "v") if biased else ())
        assert text_shape(arch, positions=100, qkv_bias=biased).parameters == arch.parameters
        with ModelFile(Path(name) / "model.onnx", activations) as file:
            dialect = OnnxRuntimeDialect(checkpoint, file, IntegerWeights(file, storage), 100)
            write_decoder(arch, dialect, lambda done: None)
            file.save("tiny")
        found = stored_bytes(Path(name) / "model.onnx")
    needs = footprint(text_shape(arch, positions=100, qkv_bias=biased), storage, activations=activations)
    assert 0 <= found - needs.weights <= CONSTANTS


def test_the_default_engine_to_the_byte() -> None:
    """Kept Q4_1 blocks with all that stands for their minimum, in the engine that `make setup` has built."""
    recipe = load_recipe("smollm2-135m")
    needs = plan(recipe).footprint
    assert 0 <= stored_bytes(DESTINATION / recipe.name / "model.onnx") - needs.weights <= CONSTANTS


@pytest.mark.parametrize("name", DEVICES)
def test_every_device_has_a_recipe_and_room(name: str) -> None:
    found = plan(load_recipe(name), "autoglm-phone-9b")
    assert found.needs(CONTEXTS[-1]) < DEVICES[name].memory
    said = describe(found)
    assert f"weights {found.footprint.weights / GB:.2f} GB" in said
    assert f"{found.footprint.token_ms(DEVICES[name], CONTEXTS[0]):.1f} ms at 4,096" in said


def test_without_a_model_the_plan_is_of_what_the_recipe_names() -> None:
    assert plan(load_recipe("smollm2-135m")).model.startswith("SmolLM2")
    assert plan(load_recipe("rtx-4090")).model == "autoglm-phone-9b"


def test_plan_of_the_articles_model() -> None:
    """All experts are in memory, a token reads four of 56."""
    found = plan(load_recipe("h100"), "autoglm-phone-9b-moe")
    assert (found.parameters, found.active_parameters) == (FULL_SIZE.parameters, FULL_SIZE.active_parameters)
    assert found.footprint.kv(1) == 24 * 2 * 2 * 128 * 2
    said = describe(found)
    assert "9.13 B parameters, 1.16 B active a token of text" in said
    assert "screenshot" not in said


def test_plan_of_a_folder_of_that_kind(tmp_path: Path) -> None:
    model = tiny_phone()
    found = plan(load_recipe("cpu"), str(save_phone(model, tmp_path / "phone")))
    text = model.config.text
    assert (found.parameters, found.active_parameters) == (text.parameters, text.active_parameters)
    assert f"{text.active_parameters / 1e6:.1f} M active a token of text" in describe(found)


def test_what_a_token_of_the_articles_model_reads() -> None:
    """As others have counted it, and the router, which is in float32."""
    shape = text_shape(random_model.phone_9b(), positions=0, qkv_bias=False)
    needs = footprint(shape, random_model.random_format(64), activations="float16")
    assert (needs.read_per_token(0) - needs.router) / GB == pytest.approx(0.62, abs=0.01)
    assert needs.router == 24 * 56 * 2048 * 4
    everything = dataclasses.replace(shape, experts_per_token=56)
    assert footprint(everything, random_model.random_format(64), activations="float16").weights == needs.weights


def test_plan_of_what_is_not_there() -> None:
    with pytest.raises(InvalidInput, match='did you mean "autoglm-phone-9b"'):
        plan(load_recipe("cpu"), "autoglm-phone")

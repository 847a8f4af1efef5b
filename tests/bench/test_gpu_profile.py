"""What the profile of a decoded token says, of a trace that was made up."""

from __future__ import annotations

import json

from tests.bench import gpu_profile

PRODUCT = "void onnxruntime::contrib::cuda::MatMulFloat4BitsKernelM1<__half, 64, false>(__half*, __half const*)"
EXPERT = "void onnxruntime::llm::kernels::fpA_intB_gemv::moe_gemv_fused_finalize_kernel<KernelDetails<FP16> >(int)"
STEP = (
    ("gpu_memcpy", "Memcpy HtoD (Pageable -> Device)", 0, 1),
    ("kernel", PRODUCT, 10, 4),
    ("kernel", EXPERT, 16, 6),
    ("kernel", PRODUCT, 23, 40),
    ("gpu_memset", "Memset (Device)", 63, 1),
    ("gpu_memcpy", "Memcpy DtoH (Device -> Pinned)", 70, 9),
)


PHASES = ("short", "long")


def trace(steps: int) -> str:
    """Both phases, one second apart."""
    begins = {name: 1e6 * place for place, name in enumerate(PHASES)}
    events: list[dict[str, object]] = [
        {"cat": category, "name": name, "ts": begin + 1000 * step + begun, "dur": took}
        for begin in begins.values()
        for step in range(-1, steps)
        for category, name, begun, took in STEP
    ]
    events += [{"cat": "user_annotation", "name": name, "ts": ts, "dur": 1000 * steps} for name, ts in begins.items()]
    events += [{"cat": "cuda_runtime", "name": "cudaGraphLaunch", "ts": 5, "dur": 3}, {"ph": "M", "name": "process"}]
    return json.dumps({"traceEvents": events[::-1]})


def test_it_says_where_a_step_s_time_goes() -> None:
    for work in gpu_profile.read_trace(trace(3), PHASES).values():
        assert len(work) == 3 * len(STEP)
        lines = gpu_profile.report(work, 3, 0.1, {"INT4 products": 44_000_000, "experts": 6_000_000}).splitlines()
        assert lines[0] == (
            "0.100 ms a step: 4 kernels and fills take 0.051 ms, gaps between them 0.003 ms, "
            "copies from and to the host 0.010 ms, the host otherwise 0.036 ms"
        )
        assert "| INT4 products | 2 | 0.044 | 44% | 0.044 | 1000 |" in lines
        assert "| experts | 1 | 0.006 | 6% | 0.006 | 1000 |" in lines
        assert "| copies | 3 | 0.011 | 11% | - | - |" in lines
        assert "| MatMulFloat4BitsKernelM1<__half, 64, false> | INT4 products | 2 | 0.044 | 22.0 | 40.0 |" in lines


def test_steps_of_unequal_length_are_not_taken_apart() -> None:
    work = gpu_profile.read_trace(trace(3), PHASES)["long"][:-2]
    said = gpu_profile.report(work, 3, 0.1, {})
    assert "the steps cannot be told apart" in said and "gaps" not in said
    assert gpu_profile.report([], 3, 0.1, {}) == "the profiler heard no kernel"


def test_a_phase_that_is_not_marked_is_not_there() -> None:
    assert gpu_profile.read_trace(trace(1), ["other"]) == {}

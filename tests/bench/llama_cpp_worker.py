"""llama.cpp as a rival, through its C interface; the protocol is that of engine_worker.

Runs in an environment of its own that holds nothing but llama-cpp-python, so it imports nothing of ours.
"""

from __future__ import annotations

import ctypes
import json
import sys
import time
from pathlib import Path

import llama_cpp
import numpy as np
from counters import Instructions  # this folder's: the script's own folder is where Python looks first


class Model:
    """A GGUF file, loaded, with one sequence."""

    def __init__(self, file: str, threads: int, context: int) -> None:
        self._silence = llama_cpp.llama_log_callback(lambda *_: None)
        llama_cpp.llama_log_set(self._silence, ctypes.c_void_p(0))
        llama_cpp.llama_backend_init()
        self._model = llama_cpp.llama_model_load_from_file(file.encode(), llama_cpp.llama_model_default_params())
        options = llama_cpp.llama_context_default_params()
        options.n_ctx, options.n_batch, options.n_ubatch = context, context, 512
        options.n_threads = options.n_threads_batch = threads
        self._context = llama_cpp.llama_init_from_model(self._model, options)
        self.vocab_size = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(self._model))
        self._batch = llama_cpp.llama_batch_init(context, 0, 1)
        self._position = 0

    def clear(self) -> None:
        """Forget the sequence."""
        llama_cpp.llama_memory_seq_rm(llama_cpp.llama_get_memory(self._context), 0, 0, -1)
        self._position = 0

    def step(self, tokens: list[int]) -> int:
        """Append tokens; the likeliest next one."""
        batch = self._batch
        for index, token in enumerate(tokens):
            batch.token[index], batch.pos[index] = token, self._position + index
            batch.n_seq_id[index], batch.seq_id[index][0] = 1, 0
            batch.logits[index] = index == len(tokens) - 1
        batch.n_tokens = len(tokens)
        if llama_cpp.llama_decode(self._context, batch) != 0:
            raise RuntimeError("llama_decode failed")
        self._position += len(tokens)
        llama_cpp.llama_synchronize(self._context)
        scores = llama_cpp.llama_get_logits(self._context)
        return int(np.ctypeslib.as_array(scores, (self.vocab_size,)).argmax())


def measure_prompt(model: Model, length: int, decoded: int) -> tuple[float, list[float]]:
    """Milliseconds to the first token of a prompt, and of each of the tokens after it."""
    model.clear()
    prompt = [(7919 * index + 13) % model.vocab_size for index in range(length)]
    begun = time.perf_counter()
    token = model.step(prompt)
    ttft_ms = (time.perf_counter() - begun) * 1e3
    steps = []
    for _ in range(decoded):
        begun = time.perf_counter()
        token = model.step([token])
        steps.append((time.perf_counter() - begun) * 1e3)
    return ttft_ms, steps


def peak_resident_bytes() -> int:
    """Of this process."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def serve(file: str, threads: int, context: int) -> None:
    """Until stdin ends."""
    counter = Instructions()
    begun = time.perf_counter()
    model = Model(file, threads, context)
    title = f"llama.cpp of llama-cpp-python {llama_cpp.__version__}"
    print(json.dumps({"load_seconds": time.perf_counter() - begun, "title": title}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        before = counter.read()
        measured = [measure_prompt(model, length, request["decoded"]) for length in request["lengths"]]
        answer = {
            "ttft_ms": [ttft for ttft, _ in measured],
            "decode_ms": [steps for _, steps in measured],
            "peak_bytes": peak_resident_bytes(),
            "instructions": None if before is None else (counter.read() or 0) - before,
        }
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))

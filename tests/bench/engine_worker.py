"""Our engine as a rival: loads it, then answers one JSON request a line with one measured set.

Request: {"lengths": [prompt tokens, ...], "decoded": n}. Answer: {"ttft_ms": [...], "decode_ms": [[...], ...],
"peak_bytes": n, "instructions": n or null}, in the order of the lengths. The first line written is
{"load_seconds": s, "title": "..."}.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from edged.cli.bench import measure_prompt, peak_resident_bytes
from edged.engine.manifest import read_manifest
from edged.engine.onnx_session import OnnxSession
from tests.bench.counters import Instructions


def serve(folder: Path, threads: int, context: int) -> None:
    """Until stdin ends."""
    counter = Instructions()
    begun = time.perf_counter()
    manifest = read_manifest(folder)
    session = OnnxSession(folder, manifest, max_seq_len=context, threads=threads)
    memory = session.allocate()
    print(json.dumps({"load_seconds": time.perf_counter() - begun, "title": manifest.precision.label}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        before = counter.read()
        measured = [
            measure_prompt(session, memory, manifest.vocab_size, length, request["decoded"])
            for length in request["lengths"]
        ]
        answer = {
            "ttft_ms": [ttft for ttft, _ in measured],
            "decode_ms": [steps for _, steps in measured],
            "peak_bytes": peak_resident_bytes(),
            "instructions": None if before is None else (counter.read() or 0) - before,
        }
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    serve(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))

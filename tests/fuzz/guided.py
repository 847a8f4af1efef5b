"""One target under atheris: `python -m tests.fuzz.guided NAME [options of libFuzzer] CORPUS`."""

from __future__ import annotations

import sys

try:
    import atheris
except ModuleNotFoundError:
    sys.exit("atheris is not installed: pip install atheris")

with atheris.instrument_imports(include=["edged", "engines"]):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    name = sys.argv.pop(1)
    atheris.Setup(sys.argv, TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()

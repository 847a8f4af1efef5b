"""The program: `edged`, or `python -m edged`."""

import gc


def run() -> None:
    """From the first import to the end."""
    gc.disable()  # what is imported stays: to look for garbage in it meanwhile takes a quarter of the time
    from edged.cli import main

    gc.freeze()
    gc.enable()
    main(prog_name="edged")


if __name__ == "__main__":
    run()

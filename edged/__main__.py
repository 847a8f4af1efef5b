"""`python -m edged` is `edged`."""

from edged.cli import main

if __name__ == "__main__":
    main(prog_name="edged")

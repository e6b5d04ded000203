"""`python -m authsvc` and the command `authsvc`."""

from authsvc.cli import run


def main() -> None:
    """The command line of this process; ends it with an exit code."""
    run()


if __name__ == "__main__":
    main()

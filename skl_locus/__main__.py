"""Entry point of the command line: ``skl-locus`` and ``python -m skl_locus``."""

import sys


def main() -> int:
    """Run the command line on the arguments of the process.

    Returns
    -------
    int
        Exit status.
    """
    try:
        from skl_locus._cli.program import run
    except ModuleNotFoundError as error:
        if error.name != "click":
            raise
        sys.stderr.write(
            "The command line needs click; install it with pip install "
            "'skl-locus[cli]'.\n"
        )
        return 2
    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())

"""python -m training: train a model; release, roll back and list the models that serve."""

from __future__ import annotations

import argparse
import sys

from tabular_bento.cli.release import add_commands, run_command
from tabular_bento.cli.train import add_arguments, train_and_save

EPILOG = """\
exit codes: 0 saved; 1 refused by the gate; 2 the configuration or the arguments are wrong; 3 the data or the store is.
The commands have exit codes of their own: `python -m training release --help`.
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m training",
        description="Train a model, measure it beside its baselines, and save it into the BentoML model store "
        "if it passes the gate. Or, with a command, say which saved model serves.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_arguments(parser)
    add_commands(parser.add_subparsers(title="commands", metavar="COMMAND", dest="command"))
    options = parser.parse_args(arguments)
    return train_and_save(options) if options.command is None else run_command(options)


if __name__ == "__main__":
    sys.exit(main())

"""python -m deploy STEP: one step from a model to a signed image in a registry."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from bentoml.exceptions import BentoMLException
from pydantic import ValidationError

from deploy.errors import DeployError, ToolError
from deploy.gate import gate
from deploy.image import build, containerize
from deploy.in_service import fetch
from deploy.record import Record
from deploy.settings import ShipSettings
from deploy.smoke import smoke
from deploy.supply import push, sbom, scan, sign, verify
from tabular_bento.errors import TabularBentoError

STEPS: dict[str, tuple[str, Callable[[ShipSettings], object]]] = {
    "gate": ("verify the candidate as a server does, and check its metrics against the gate", gate),
    "in-service": ("put the model of the image IN_SERVICE into the store, and print its tag", fetch),
    "build": ("build the bento of the model in TABULAR_BENTO_MODEL, by default the champion", lambda s: build(s).bento),
    "containerize": ("build the bento's image with podman, labelled", lambda s: containerize(s).summary()),
    "smoke": ("run the image hardened and check the parity vectors over each protocol", smoke),
    "sbom": ("write the bill of materials, CycloneDX JSON", sbom),
    "scan": ("look the locked packages up among the known vulnerabilities", scan),
    "push": ("push the image to REGISTRY", lambda s: push(s).summary()),
    "sign": ("sign the image's digest with SIGN_KEY", sign),
    "verify": ("check the signature with VERIFY_KEY", verify),
    "model": ("print the model of the image", lambda s: Record.read(s.ship_dir, "image", "containerize").model),
    "pushed": ("print what was pushed, by its digest", lambda s: Record.read(s.ship_dir, "pushed", "push").by_digest()),
    "show": ("print what was shipped last", lambda s: Record.read(s.ship_dir, "image", "containerize").summary()),
}

EPILOG = "exit codes: 0 done; 1 not done, for the reason that is printed; 2 the arguments or settings are wrong; \
3 a tool or a service is missing, so nothing is known."


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    settings = (f"  {name.upper():<18}{field.description}" for name, field in ShipSettings.model_fields.items())
    parser = argparse.ArgumentParser(
        prog="python -m deploy",
        description="One step from a model to a signed image in a registry. Each is a make target too, and "
        "adds to the record in SHIP_DIR.",
        epilog="\n".join(("settings, from the environment:", *settings, "", EPILOG)),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    steps = parser.add_subparsers(dest="step", required=True, metavar="STEP")
    for name, (description, _) in STEPS.items():
        steps.add_parser(name, help=description, description=description[0].upper() + description[1:] + ".")
    step = parser.parse_args(arguments).step

    try:
        print(STEPS[step][1](ShipSettings()))
    except ValidationError as error:
        first = error.errors()[0]
        return _fail(step, f"{str(first['loc'][0]).upper()}: {first['msg']}", 2)
    except ToolError as error:
        return _fail(step, str(error), 3)
    except (DeployError, TabularBentoError, BentoMLException) as error:
        return _fail(step, str(error), 1)
    return 0


def _fail(step: str, message: str, code: int) -> int:
    print(f"{step}: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())

"""The supply chain of an image: its bill of materials, known vulnerabilities, push and signature."""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.commands import podman, run
from deploy.errors import DeployError, ToolError
from deploy.record import Record
from deploy.settings import ShipSettings
from tabular_bento.serving.image import LOCK_NAMES, LOCKS, lock_path

TOOLS = Path(__file__).resolve().parent.parent / ".venv-scan" / "bin"
"""The environment of `requirements/scan.txt`, which make puts there."""

DEFAULT_RUNNER = "xgboost"

SBOM_FILE, SCAN_FILE, PAYLOAD_FILE, SIGNATURE_FILE = "sbom.json", "scan.json", "payload.json", "payload.sig"


def lock_of(settings: ShipSettings) -> Path:
    """The lock that the image was built from; where there is none yet, that of the default runner."""
    record = Record.read(settings.ship_dir)
    kind = record.labels.get("model.runner", DEFAULT_RUNNER)
    if kind not in LOCK_NAMES:
        raise DeployError(f"There is no lock of the runner {kind!r} among those of the library: {LOCKS}.")
    return lock_path(kind)


def sbom(settings: ShipSettings) -> Path:
    """Write the bill of materials of the image's Python packages, CycloneDX JSON, from the lock with its hashes."""
    path = settings.ship_dir.resolve() / SBOM_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    command = [
        str(TOOLS / "cyclonedx-py"),
        "requirements",
        str(lock_of(settings)),
        "--output-format",
        "JSON",
        "--output-reproducible",
    ]
    run([*command, "--output-file", str(path)], "Writing the bill of materials")
    return path


def scan(settings: ShipSettings) -> str:
    """Look up the locked packages among the known vulnerabilities, and report how many were.

    Raises
    ------
    DeployError
        That names each finding.
    ToolError
        Where the advisory service did not respond.
    """
    path = settings.ship_dir.resolve() / SCAN_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    command = [str(TOOLS / "pip-audit"), "--requirement", str(lock_of(settings)), "--require-hashes", "--disable-pip"]
    command += ["--vulnerability-service", settings.scan_service]
    command += ["--progress-spinner", "off", "--format", "json", "--output", str(path)]
    try:
        run(command, "The search for vulnerabilities")
    except DeployError as error:
        if not path.exists():
            raise ToolError(f"{error}\nNo package was looked up: can the advisory service be reached?") from None
    packages = json.loads(path.read_text())["dependencies"]
    if skipped := [package["skip_reason"] for package in packages if "skip_reason" in package]:
        raise ToolError(
            f"{len(skipped)} of {len(packages)} packages could not be looked up at {settings.scan_service}, so this is "
            f"no clean result. The first: {skipped[0]}."
        )
    found = [
        f"{p['name']} {p['version']}: {v['id']}, fixed in {v['fix_versions']}" for p in packages for v in p["vulns"]
    ]
    if found:
        raise DeployError("Known vulnerabilities:\n" + "\n".join(found))
    return f"{len(packages)} packages, none with a known vulnerability"


def push(settings: ShipSettings) -> Record:
    """Push the image to the registry, and keep the digest that it has there."""
    record = Record.read(settings.ship_dir, needs="image", step="containerize")
    if not settings.registry:
        raise DeployError("REGISTRY is not set: it names where to push to, such as a registry's host and path.")
    target = f"{settings.registry.rstrip('/')}/{record.image.rsplit('/', 1)[-1]}"
    digest_file = settings.ship_dir / "digest"
    tls = f"--tls-verify={str(settings.registry_tls).lower()}"
    podman("push", tls, "--digestfile", str(digest_file), record.image_id, target, what="Pushing the image")
    record = record.model_copy(update={"digest": digest_file.read_text().strip(), "pushed": target})
    digest_file.unlink()
    record.write(settings.ship_dir)
    return record


def sign(settings: ShipSettings) -> Path:
    """Sign the image's name and digest with `SIGN_KEY`.

    The payload is that of cosign and the signature is base64 of what `openssl dgst -sha256 -sign` gives, so `cosign
    attach signature` can put both into a registry, and either tool can check them. The digest is the registry's, of the
    compressed layers, so the image must have been pushed.
    """
    record = Record.read(settings.ship_dir, needs="pushed", step="push")
    if settings.sign_key is None and settings.sign_key_pem is None:
        raise DeployError("SIGN_KEY is not set: it names the private key, PEM, that the image is signed with.")
    payload, signature = settings.ship_dir / PAYLOAD_FILE, settings.ship_dir / SIGNATURE_FILE
    document = {
        "critical": {
            "identity": {"docker-reference": record.pushed.rsplit(":", 1)[0]},
            "image": {"docker-manifest-digest": record.digest},
            "type": "cosign container image signature",
        },
        "optional": record.labels,
    }
    payload.write_text(json.dumps(document, sort_keys=True))
    raw = signature.with_suffix(".raw")
    with _key_file(settings) as key:
        run(["openssl", "dgst", "-sha256", "-sign", key, "-out", str(raw), str(payload)], "Signing the image")
    signature.write_bytes(base64.b64encode(raw.read_bytes()))
    raw.unlink()
    return signature


@contextmanager
def _key_file(settings: ShipSettings) -> Iterator[str]:
    """A file that holds the private key: the operator's, or one that only this user can read, for as long as needed."""
    if settings.sign_key is not None:
        yield str(settings.sign_key)
        return
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(settings.sign_key_pem.get_secret_value() if settings.sign_key_pem else "")
        file.flush()
        yield file.name


def verify(settings: ShipSettings) -> str:
    """Check that the signature is of this image and by the owner of `VERIFY_KEY`. Raises DeployError."""
    record = Record.read(settings.ship_dir, needs="pushed", step="push")
    if settings.verify_key is None:
        raise DeployError("VERIFY_KEY is not set: it names the public key, PEM, that the image was signed for.")
    payload, signature = settings.ship_dir / PAYLOAD_FILE, settings.ship_dir / SIGNATURE_FILE
    for path in (payload, signature):
        if not path.exists():
            raise DeployError(f"There is no {path}: run `make sign` first.")
    raw = signature.with_suffix(".raw")
    raw.write_bytes(base64.b64decode(signature.read_bytes()))
    command = ["openssl", "dgst", "-sha256", "-verify", str(settings.verify_key), "-signature", str(raw), str(payload)]
    try:
        run(command, "Checking the signature")
    finally:
        raw.unlink()
    signed = json.loads(payload.read_text())["critical"]["image"]["docker-manifest-digest"]
    if signed != record.digest:
        raise DeployError(f"The signature is of {signed}, and the image is {record.digest}: sign it again.")
    return f"{signed} is signed by the owner of {settings.verify_key}"

"""Checks manifests on standard input by the published schemas; run by the Python of `.venv-deploy`.

Kubernetes' own kinds by the schemas that kubernetes-validate carries, the Prometheus operator's by its models, KServe's
by the models of its SDK, which are read without being imported: they would bring all that KServe depends on.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from functools import cache
from importlib.metadata import files
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml
from cloudcoil.models.prometheus_operator import v1 as operator
from jsonschema import Draft202012Validator

KUBERNETES = "1.33"


def check(document: dict[str, Any]) -> None:
    """Raise an exception that says what of `document` is wrong."""
    match document["apiVersion"]:
        case "monitoring.coreos.com/v1":
            check_operator(document)
        case "serving.kserve.io/v1beta1":
            check_kserve("V1beta1" + document["kind"], document, document["kind"])
            check_knative(document)
        case _:
            kubernetes_validate.validate(document, KUBERNETES, strict=True)


def check_operator(document: dict[str, Any]) -> None:
    """The models take a field that they do not know, so what they give back must be what they were given."""
    model = getattr(operator, document["kind"]).model_validate(document)
    lost = missing(document, model.model_dump(mode="json", by_alias=True, exclude_none=True))
    if lost:
        raise ValueError(f"unknown to the Prometheus operator: {lost}")


def missing(given: Any, kept: Any, at: str = "") -> list[str]:
    """Paths of what is in `given` and not in `kept`."""
    if isinstance(given, dict):
        return [
            path
            for key, value in given.items()
            for path in (missing(value, kept[key], f"{at}.{key}") if key in kept else [f"{at}.{key}"])
        ]
    if isinstance(given, list):
        return [path for index, value in enumerate(given) for path in missing(value, kept[index], f"{at}[{index}]")]
    return []


def check_knative(document: dict[str, Any]) -> None:
    """Knative's webhook refuses what it decides by itself, in pods that KServe hands to it."""
    if document["metadata"].get("annotations", {}).get("serving.kserve.io/deploymentMode") == "Knative":
        pod = document["spec"]["predictor"]
        for name in ("terminationGracePeriodSeconds", "hostNetwork"):
            expect(name not in pod, f"InferenceService.spec.predictor.{name}", "left out, as Knative wants it")
        for container in pod["containers"]:
            expect("lifecycle" not in container, "InferenceService.spec.predictor.lifecycle", "left out of Knative's")


@cache
def kserve_types(model: str) -> dict[str, str]:
    """The types of the fields, by their names in manifests, of a model of KServe's SDK; empty for another's."""
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", model).lower()
    paths = [path for path in files("kserve") or [] if path.name == f"{name}.py"]
    if not paths:
        return {}
    tree = ast.parse(Path(str(paths[0].locate())).read_text())
    tables = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and isinstance(node.value, ast.Dict)
    }
    return {tables["attribute_map"][name]: kind for name, kind in tables["openapi_types"].items()}


def check_kserve(kind: str, value: Any, at: str) -> None:
    """Check a value by the model of the SDK that its type names, or by Kubernetes' schema of it."""
    if match := re.fullmatch(r"list\[(.*)\]", kind):
        expect(isinstance(value, list), at, kind)
        for index, item in enumerate(value):
            check_kserve(match[1], item, f"{at}[{index}]")
    elif match := re.fullmatch(r"dict\(str, (.*)\)", kind):
        expect(isinstance(value, dict), at, kind)
    elif kind in ("str", "int", "bool", "float"):
        expect(type(value).__name__ == kind, at, kind)
    elif types := kserve_types(kind):
        expect(isinstance(value, dict), at, kind)
        for name, item in value.items():
            expect(name in types, f"{at}.{name}", f"a field of {kind}: {', '.join(sorted(types))}")
            check_kserve(types[name], item, f"{at}.{name}")
    else:
        check_core(kind, value, at)


def check_core(kind: str, value: Any, at: str) -> None:
    """Check a value by Kubernetes' schema of V1Container and the like."""
    folder = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema" / f"v{KUBERNETES}.0-local-strict"
    definitions = json.loads((folder / "_definitions.json").read_text())["$defs"]
    names = [name for name in definitions if name.endswith(f".v1.{kind.removeprefix('V1')}")]
    expect(bool(names), at, f"a type that is known: {kind}")
    schema = {"$ref": f"#/$defs/{names[0]}", "$defs": definitions}
    for error in Draft202012Validator(schema).iter_errors(value):
        raise ValueError(f"{at}: {error.message}")


def expect(holds: bool, at: str, what: str) -> None:
    if not holds:
        raise ValueError(f"{at} is not {what}")


def main() -> int:
    wrong = 0
    checked: list[str] = []
    for document in yaml.safe_load_all(sys.stdin):
        name = f"{document['kind']}/{document['metadata']['name']}"
        checked.append(name)
        try:
            check(document)
        except Exception as error:
            wrong += 1
            print(f"{name}: {type(error).__name__}: {str(error)[:2000]}", file=sys.stderr)
    print("\n".join(checked))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

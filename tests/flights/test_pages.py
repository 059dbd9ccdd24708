"""What the README, the pages of docs/ and the help of the commands name is there, and their code can be read."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from benchmarks.__main__ import BENCHMARKS
from tabular_bento.cli import COMMANDS
from tabular_bento.data.database import VARIABLE as DATABASE
from tabular_bento.features import FeatureSet
from tabular_bento.monitoring.comparison.settings import CompareSettings
from tabular_bento.monitoring.drift import textfile
from tabular_bento.monitoring.drift.settings import DriftSettings, OutputSettings
from tabular_bento.serving.metrics import METRICS
from tabular_bento.serving.settings import ServingSettings
from tabular_bento.training.memory import VARIABLE as MEMORY
from tests.conftest import ROOT
from tests.flights.pages import (
    EXAMPLES,
    OF_NEW_PROJECTS,
    PAGES,
    SHELLS,
    TEMPLATE,
    after,
    blocks,
    commands,
    options,
    parser,
    shell,
    spans,
    split,
    text_of,
    variables,
    wrong_arguments,
)

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))

DEPLOYED = [path for path in (ROOT / "deploy").rglob("*") if path.suffix in (".yaml", ".yml", ".json", ".sh")]


@cache
def makefile(page: Path) -> str:
    """The Makefile whose targets the commands of a page are."""
    if page.name in OF_NEW_PROJECTS:
        return (TEMPLATE / "Makefile.jinja").read_text()
    if page.parent in EXAMPLES:
        return (ROOT / "examples" / "project.mk").read_text() + (page.parent / "Makefile").read_text()
    return (ROOT / "Makefile").read_text()


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}


@pages
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", text_of(page)):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pages
def test_tables_have_a_head_and_as_many_cells_in_each_row(page: Path) -> None:
    text = re.sub(r"^ *```.*?^ *```", "", text_of(page), flags=re.DOTALL | re.MULTILINE)
    for table in re.findall(r"(?:^ *\|.*\n)+", text, re.MULTILINE):
        rows = [re.sub(r"`[^`]*`|\\\|", "", line).strip().count("|") for line in table.splitlines()]
        assert len(set(rows)) == 1, table
        assert len(rows) > 2, table
        assert re.fullmatch(r"\|(?: *:?-+:? *\|)+", table.splitlines()[1].strip()), table


def test_every_page_of_documentation_is_linked_from_the_readme() -> None:
    linked = set(re.findall(r"\]\(docs/([\w-]+\.md)\)", (ROOT / "README.md").read_text()))
    assert linked == {page.name for page in (ROOT / "docs").glob("*.md")}


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.name)
def test_a_page_begins_with_what_its_reader_gets(page: Path) -> None:
    title, first, *_ = page.read_text().split("\n\n")
    assert title.startswith("# ")
    assert re.search(r"[Ww]ith this page|This page", first)


def test_the_readme_is_for_a_reader_in_a_hurry() -> None:
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) <= 120
    assert {"$ make demo", "$ make test"} <= {line.split("  ")[0] for line in lines}, "the two commands of the set-up"


@pages
def test_commands_can_be_called_as_they_are_shown(page: Path) -> None:
    wrong = [
        f"{command}: {reason}"
        for command in commands(page)
        if (arguments := after(command, "tabular-bento")) is not None
        and (reason := wrong_arguments(arguments, whole=command.typed))
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "line",
    [
        "tabular-bento trian",
        "tabular-bento train --tuen 5",
        "tabular-bento train --tune",
        "tabular-bento release one two",
        "tabular-bento drift --from 2025-07-01",
        "cd x && .venv/bin/python -m tabular_bento card --port 3000",
    ],
)
def test_a_command_that_could_not_be_called_is_seen(line: str) -> None:
    found = [after(command, "tabular-bento") for command in split(line, typed=True)]
    assert any(arguments is not None and wrong_arguments(arguments, whole=True) for arguments in found)


@pages
def test_options_that_the_text_names_are_of_some_command(page: Path) -> None:
    named = {word for span in spans(page) for word in span.split()[:1] if re.fullmatch(r"--[a-z][a-z-]+", word)}
    studies = {option for name in BENCHMARKS if f"benchmarks {name}" in text_of(page) for option in of_study(name)}
    assert named <= options() | studies | {"--opt"}, named - options() - studies


@pages
def test_studies_and_their_options_exist(page: Path) -> None:
    for command in commands(page):
        words = list(command.words)
        if words[1:3] == ["-m", "benchmarks"]:
            name, *rest = words[3:]
            assert name in BENCHMARKS, command
            given = {word for word in rest if word.startswith("--")}
            assert given <= of_study(name), command


@cache
def of_study(name: str) -> frozenset[str]:
    """The options of a study, by the text of its module."""
    path = ROOT / BENCHMARKS[name][0].replace(".", "/")
    text = path.with_suffix(".py").read_text() + (ROOT / "benchmarks" / "command.py").read_text()
    return frozenset(re.findall(r'"(--[a-z][a-z-]*)"', text))


@pages
def test_make_targets_and_variables_exist(page: Path) -> None:
    for command in commands(page):
        words = [word for word in command.words if word != "..."]
        first = next((index for index, word in enumerate(words) if "=" not in word), len(words))
        if words[first : first + 1] != ["make"]:
            continue
        assigned, words = words[:first], words[first + 1 :]
        text = makefile(page)
        if words[:1] == ["-C"]:
            folder = ROOT / words[1]
            text = (ROOT / "examples" / "project.mk").read_text() + (folder / "Makefile").read_text()
            words = words[2:]
        for word in words if command.typed or len(words) == 1 else ():
            target, equals, _ = word.partition("=")
            if equals:
                assigned.append(word)
            else:
                assert re.search(rf"^{re.escape(target)}:", text, re.MULTILINE), command
        for name, _, value in (word.partition("=") for word in assigned if "=" in word):
            known = name in known_variables() or re.search(rf"\b{name}\b", text) or name.startswith("OTEL_")
            assert known, f"{command}: {name}"
            if name == "ARGS":
                check_passed_arguments(words[0], value, text)


def check_passed_arguments(target: str, value: str, text: str) -> None:
    """The arguments that a target passes on are those of its command."""
    (recipe,) = re.findall(rf"^{target}:.*\n((?:\t.*\n)+)", text, re.MULTILINE)
    (name,) = re.findall(r"(?:\(CLI\)|tabular-bento) ([a-z]+) .*\$\(ARGS\)", recipe)
    assert wrong_arguments([name, *value.split()], whole=False) is None, (target, value)


@cache
def known_variables() -> frozenset[str]:
    """The library's settings in the environment."""
    known = {DATABASE, MEMORY} | variables()
    for model in (ServingSettings, DriftSettings, OutputSettings, CompareSettings):
        prefix = str(model.model_config.get("env_prefix", ""))
        assert prefix.startswith("TABULAR_BENTO_"), model
        known |= {f"{prefix}{name}".upper() for name in model.model_fields}
    return frozenset(known)


@pages
def test_settings_exist(page: Path) -> None:
    named = set(re.findall(r"TABULAR_BENTO_[A-Z_]*[A-Z]", text_of(page)))
    assert named <= known_variables() | {"TABULAR_BENTO_DRIFT", "TABULAR_BENTO_COMPARE"}, named - known_variables()


@cache
def exported() -> frozenset[str]:
    """The metrics of a server and of the drift job, with the series that a histogram has."""
    names = {f"{textfile.PREFIX}{name}" for name in textfile.METRICS} | {metric.exported for metric in METRICS}
    parts = {
        f"{metric.exported}{part}"
        for metric in METRICS
        if metric.kind == "histogram"
        for part in ("_bucket", "_sum", "_count")
    }
    return frozenset(names | parts)


@pytest.mark.parametrize("page", [*PAGES, *DEPLOYED], ids=lambda page: str(page.relative_to(ROOT)))
def test_metrics_exist(page: Path) -> None:
    for name in set(re.findall(r"\btabular_bento_[a-z_]+", page.read_text())) - {"tabular_bento_tests"}:
        known = any(metric.startswith(name) for metric in exported()) if name.endswith("_") else name in exported()
        assert known, name


def test_every_alert_has_its_section_and_is_named_as_it_is_called() -> None:
    rules = yaml.safe_load((ROOT / "deploy" / "observability" / "rules.yaml").read_text())
    alerts = [rule["alert"] for group in rules["groups"] for rule in group["rules"]]
    section = (ROOT / "docs" / "operate.md").read_text().split("## When an alert fires\n")[1].split("\n## ")[0]
    assert sorted(re.findall(r"^### (\w+)$", section, re.MULTILINE)) == sorted(alerts)
    for page in PAGES:
        for name in re.findall(r"\balerts? `?([A-Z][a-z]+[A-Z]\w+)", text_of(page)):
            assert name in alerts, f"{page.name}: {name}"


def manifests() -> Iterator[tuple[str, str]]:
    """Kind and name of what is deployed on Kubernetes."""
    for path in (ROOT / "deploy" / "kubernetes").rglob("*.yaml"):
        for one in yaml.safe_load_all(path.read_text()):
            if "metadata" in one:
                yield one["kind"].lower(), one["metadata"]["name"]
            for made in one.get("configMapGenerator", ()):
                yield "configmap", made["name"]


def test_what_the_run_book_calls_on_kubernetes_and_compose_is_deployed() -> None:
    page = ROOT / "docs" / "operate.md"
    text = text_of(page)
    known = {*manifests(), ("hpa", "flights"), ("job", "seal-now")}
    names = {name for _, name in known}
    for kind, name in re.findall(r"\b(deployment|cronjob|service|configmap|hpa)/([a-z-]+)", text):
        assert (kind, name) in known, f"{kind}/{name}"
    assert set(re.findall(r"\bflights-[a-z-]+", text)) <= names
    assert {("namespace", name) for name in re.findall(r"kubectl -n ([a-z-]+)", text)} <= known
    called = [list(command.words) for command in commands(page)]
    assert any(words[:2] == ["kubectl", "apply"] for words in called)
    assert any(words[1:3] == ["docker", "compose"] for words in called)
    overlay = ROOT / "deploy" / "kubernetes" / "overlays" / "production"
    for words in called:
        if "kubectl" in words and "-k" in words:
            folder = words[words.index("-k") + 1]
            assert ((overlay if folder == "." else ROOT / folder) / "kustomization.yaml").is_file(), words
        if "compose" in words:
            services = yaml.safe_load((ROOT / words[words.index("-f") + 1]).read_text())["services"]
            assert services, words
            assert all(word.split("=")[0] == "GRAFANA_PASSWORD" for word in words if "=" in word), words
        if "patch" in words:
            assert json.loads(words[words.index("-p") + 1]), words
    assert "GRAFANA_PASSWORD" in (ROOT / "deploy" / "compose" / "compose.yaml").read_text()


@pages
def test_blocks_can_be_read(page: Path, tmp_path: Path) -> None:
    scripts: list[str] = []
    for language, text in blocks(page):
        if language in SHELLS and not (language == "" and text.startswith(("sum ", "tabular-bento-"))):
            scripts.append(shell(language, text))
        elif language == "python":
            compile(text, page.name, "exec")
        elif language == "toml":
            tomllib.loads(text)
        elif language == "yaml":
            assert yaml.safe_load(text)
        elif language == "json":
            json.loads(re.sub(r", \.\.\.(?=[}\]])", "", text))
    (tmp_path / "script").write_text("\n".join(scripts))
    result = subprocess.run(["bash", "-n", tmp_path / "script"], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


@cache
def sources() -> str:
    """The text of the library and of what is run beside it, in which the files that they write are named."""
    folders = ("tabular_bento", "deploy", "features", "training", "benchmarks")
    return "\n".join(path.read_text() for name in folders for path in sorted((ROOT / name).rglob("*.py")))


OF_READERS = {"write-a-feature.md": ("features/functions.py",)}
"""Files that a page has its reader make."""

NAMED = re.compile(r"[\w.-]+(?:/[\w.-]+)*/?\.(?:py|toml|md|yaml|yml|json|jsonl|html|txt|sh|cfg|proto|lock|ubj)")
FOLDERS = (
    "deploy/",
    "tabular_bento/",
    "training/",
    "monitoring/",
    "features/",
    "docs/",
    "examples/",
    "tests/",
    ".github/",
)


@pages
def test_files_that_are_named_exist_or_are_written_by_the_code(page: Path) -> None:
    roots = (ROOT, *EXAMPLES, ROOT / "docs", ROOT / ".github" / "workflows", page.parent)
    for span in spans(page):
        if "NAME" in span:
            continue
        if span.startswith(FOLDERS) and re.fullmatch(r"[\w./-]*\w/?", span):
            there = any((root / span).exists() for root in roots) or (TEMPLATE / f"{span}.jinja").exists()
            assert there or span in OF_READERS.get(page.name, ()), span
        elif NAMED.fullmatch(span):
            name = span.rsplit("/", 1)[-1]
            assert (
                any((root / span).exists() for root in roots)
                or (TEMPLATE / f"{span}.jinja").exists()
                or any(TEMPLATE.rglob(f"{name}.jinja"))
                or re.search(rf"(?<![\w.-]){re.escape(name)}\b", sources())
                or span in OF_READERS.get(page.name, ())
            ), span


@pages
def test_names_of_the_library_exist(page: Path) -> None:
    for span in spans(page):
        for dotted in re.findall(r"\btabular_bento(?:\.\w+)+", span):
            *folders, last = dotted.split(".")
            whole = ROOT.joinpath(*folders, last)
            if whole.is_dir() or whole.with_suffix(".py").is_file():
                continue
            module = ROOT.joinpath(*folders)
            module = module / "__init__.py" if module.is_dir() else module.with_suffix(".py")
            assert module.is_file(), dotted
            assert re.search(rf"\b{last}\b", module.read_text()), dotted


@pytest.mark.parametrize("name", [command.name for command in COMMANDS])
def test_help_names_options_of_the_command_and_commands_that_can_be_called(name: str) -> None:
    own = {option for param in parser(name).params for option in (*param.opts, *param.secondary_opts)}
    text = "\n".join([str(parser(name).help), *(str(getattr(param, "help", "")) for param in parser(name).params)])
    text = text.replace("\\\n", " ")
    lines = [*re.findall(r"`([^`]+)`", text), *re.findall(r"^ +(tabular-bento .*)$", text, re.MULTILINE)]
    for line in lines:
        for command in split(line, typed=False):
            arguments = after(command, "tabular-bento")
            assert arguments is None or wrong_arguments(arguments, whole=False) is None, line
    rest = text
    for line in lines:
        rest = rest.replace(line, "")
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", rest)) <= own | {"--url"}, name


def test_the_features_of_the_page_are_features(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "docs" / "features.md").read_text()
    shown = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    module = ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", module)
    exec(compile(shown[0], "features.md", "exec"), module.__dict__)
    assert isinstance(module.FEATURES, FeatureSet)
    assert module.FEATURES.names == ("city", "price_before")
    assert [item.name for item in module.FEATURES.shared] == ["city_code", "hour", "usual_price"]
    assert shown[1] in (ROOT / "features" / "distance.py").read_text()

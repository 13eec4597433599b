"""Checks the project files around the code: package metadata, wheel, citation, CI, hooks and documentation site."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
import zipfile
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path
from typing import Any

import pytest
import yaml
from hatchling.builders.wheel import WheelBuilder

import ssr_edge

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
REPOSITORY = "https://github.com/ssr-edge/ssr-edge"
PYTHONS = ["3.10", "3.11", "3.12", "3.13"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, as `pip wheel --no-deps .` builds it."""
    (built,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path_factory.mktemp("wheel")), versions=["standard"])
    return zipfile.ZipFile(built)


@pytest.fixture(scope="module")
def metadata(wheel: zipfile.ZipFile) -> Message:
    (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    return HeaderParser().parsestr(wheel.read(name).decode())


def project() -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return table


def read_yaml(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text())


def test_the_metadata_names_the_authors_the_license_and_every_url(metadata: Message) -> None:
    assert metadata["Author"] == "ssr-edge contributors"
    assert metadata["License-Expression"] == "Apache-2.0"
    urls = dict(value.split(", ") for value in metadata.get_all("Project-URL", []))
    assert set(urls) == {"Homepage", "Repository", "Documentation", "Issues", "Changelog"}
    assert all(url.startswith(REPOSITORY) for url in urls.values())


def test_urls_of_files_in_the_repository_name_existing_files() -> None:
    files = [url.partition("/blob/main/")[2] for url in project()["urls"].values() if "/blob/main/" in url]
    assert len(files) == 2
    assert all((ROOT / file).is_file() for file in files)


def test_the_classifiers_list_every_supported_python_and_typing(metadata: Message) -> None:
    classifiers = metadata.get_all("Classifier", [])
    versions = [name.rpartition(" :: ")[2] for name in classifiers if name.startswith("Programming Language")]
    assert versions == ["Only", *PYTHONS]
    assert metadata["Requires-Python"] == f">={PYTHONS[0]}"
    assert "Typing :: Typed" in classifiers


@pytest.mark.parametrize(
    "name",
    [
        "ssr_edge/py.typed",
        "ssr_train/py.typed",
        "ssr_export/py.typed",
        "ssr_kernels/py.typed",
        "ssr_edge/demo/weights.safetensors",
        "ssr_edge/demo/CARD.md",
        "ssr_edge/bench/report/templates/*.html*",
        "ssr_edge/breakhis/verify/official_files.npz",
        "ssr_train/training/recipes/*.toml",
        "ssr_kernels/*.cu",
    ],
)
def test_the_wheel_holds(name: str, wheel: zipfile.ZipFile) -> None:
    folder, _, pattern = name.rpartition("/")
    assert [file for file in wheel.namelist() if Path(file).parent == Path(folder) and Path(file).match(pattern)]


def test_the_wheel_holds_the_sample_images_of_every_class(wheel: zipfile.ZipFile) -> None:
    for folder in ("images", "calibration"):
        names = [name for name in wheel.namelist() if name.startswith(f"ssr_edge/demo/{folder}/")]
        classes = {Path(name).name.split("_")[2].partition("-")[0] for name in names}
        assert len(classes) == 8, names


def test_the_citation_names_this_version_the_paper_and_the_data_set() -> None:
    """The keys are those that the Citation File Format 1.2.0 requires."""
    citation = read_yaml("CITATION.cff")
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["cff-version"] == "1.2.0"
    assert (citation["title"], citation["version"]) == (project()["name"], ssr_edge.__version__)
    assert citation["license"] == project()["license"]
    assert citation["repository-code"] == project()["urls"]["Repository"]
    paper, data_set = citation["references"]
    for reference in (paper, data_set):
        assert {"type", "title", "authors", "year"} <= set(reference)
    assert [author["family-names"] for author in paper["authors"]] == ["Xu", "Li", "Wu"]
    assert (paper["year"], data_set["year"]) == (2024, 2016)
    assert data_set["doi"] == "10.1109/TBME.2015.2496264"


def test_ci_tests_every_supported_python_with_the_scripts_that_people_run() -> None:
    jobs = read_yaml(".github/workflows/ci.yml")["jobs"]
    assert jobs["test"]["strategy"]["matrix"]["python"] == PYTHONS
    commands = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    scripts = [command for command in commands if not command.startswith("sudo apt-get ")]
    assert sorted(scripts) == ["scripts/check", "scripts/docs", "scripts/test"]
    assert all(os.access(ROOT / script, os.X_OK) for script in scripts)


def test_ci_may_read_only_and_uploads_nothing() -> None:
    workflow = read_yaml(".github/workflows/ci.yml")
    assert workflow["permissions"] == {"contents": "read"}
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    assert {step["uses"].partition("@")[0] for step in steps if "uses" in step} == {
        "actions/checkout",
        "actions/setup-python",
    }
    assert not any("cache" in step.get("with", {}) for step in steps)
    assert "secrets." not in (ROOT / ".github/workflows/ci.yml").read_text()


@pytest.mark.parametrize("form", ["bug.yml", "feature.yml"])
def test_issue_forms_ask_for_the_output_of_doctor(form: str) -> None:
    """The keys are those that GitHub requires of an issue form."""
    template = read_yaml(f".github/ISSUE_TEMPLATE/{form}")
    assert {"name", "description", "body"} <= set(template)
    fields = {field["id"]: field for field in template["body"] if field["type"] != "markdown"}
    assert all(field["type"] == "textarea" and field["attributes"]["label"] for field in fields.values())
    assert "`ssr-edge doctor --json -`" in fields["doctor"]["attributes"]["description"]


def test_doctor_prints_what_the_issue_forms_ask_for() -> None:
    command = [sys.executable, "-c", "from ssr_edge.cli.main import run; run()", "doctor", "--json", "-"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert {"machine", "parts"} <= set(json.loads(done.stdout))


def test_issue_links_lead_to_the_repository() -> None:
    config = read_yaml(".github/ISSUE_TEMPLATE/config.yml")
    assert [link["url"] for link in config["contact_links"]] == [project()["urls"]["Documentation"]]


def pages_in(nav: list[Any] | dict[str, Any] | str) -> list[str]:
    """The pages of mkdocs.yml's nav, which nests lists of `title: page or list`."""
    if isinstance(nav, str):
        return [] if "://" in nav else [nav]
    return [page for entry in (nav.values() if isinstance(nav, dict) else nav) for page in pages_in(entry)]


def test_the_documentation_site_has_every_page_once() -> None:
    listed = pages_in(read_yaml("mkdocs.yml")["nav"])
    assert len(listed) == len(set(listed))
    assert {page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").rglob("*.md")} <= set(listed)


def test_the_documentation_site_loads_nothing_from_third_parties() -> None:
    config = read_yaml("mkdocs.yml")
    assert config["theme"]["font"] is False
    # Material for MkDocs queries api.github.com for the repository's star count.
    assert "repo_url" not in config
    assert config["extra"]["repository"] == REPOSITORY


def test_the_api_page_documents_every_public_name() -> None:
    documented = re.findall(r"^::: ([\w.]+)$", (ROOT / "docs/api.md").read_text(), re.MULTILINE)
    for name in ssr_edge.__all__:
        if not name.startswith("_"):
            module = getattr(ssr_edge, name).__module__
            assert f"{module}.{name}" in documented or module in documented, name


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("../README.md", f"{REPOSITORY}/blob/main/README.md"),
        ("../README.md#install", f"{REPOSITORY}/blob/main/README.md#install"),
        ("mlserver", f"{REPOSITORY}/tree/main/docs/mlserver"),
        ("../containers", f"{REPOSITORY}/tree/main/containers"),
        ("gpu.md", "gpu.md"),
        ("gpu.md#memory", "gpu.md#memory"),
        ("#memory", "#memory"),
        ("https://example.org/page", "https://example.org/page"),
        # Left for MkDocs to report.
        ("../missing.md", "../missing.md"),
        ("missing.md", "missing.md"),
        ("../../outside.md", "../../outside.md"),
    ],
)
def test_links_that_leave_the_documentation_lead_to_the_repository(target: str, expected: str) -> None:
    spec = importlib.util.spec_from_file_location("mkdocs_hooks", ROOT / "scripts/mkdocs_hooks.py")
    assert spec is not None and spec.loader is not None
    hooks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hooks)
    page = f"See [this page]({target}), which [that](gpu.md) extends."
    rewritten = hooks.link_to_repository(page, ROOT / "docs", ROOT / "docs", REPOSITORY)
    assert rewritten == page.replace(f"({target})", f"({expected})")


def test_commit_hooks_are_programs_that_the_dev_extra_installs() -> None:
    """A hook of a remote repository would download a second version of ruff, and would need the network."""
    repositories = read_yaml(".pre-commit-config.yaml")["repos"]
    assert [repository["repo"] for repository in repositories] == ["local"]
    hooks = {hook["id"]: hook for hook in repositories[0]["hooks"]}
    assert {"ruff-check", "ruff-format", "end-of-file-fixer"} <= set(hooks)
    assert all(hook["language"] == "system" and hook["entry"].startswith(".venv/bin/") for hook in hooks.values())
    light = project()["optional-dependencies"]["dev-light"]
    assert {"ruff", "pre-commit", "pre-commit-hooks"} <= {requirement.partition(">=")[0] for requirement in light}

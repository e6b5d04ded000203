"""What surrounds the code: every file, command and variable that the packaging names exists, and says the same."""

import ast
import os
import re
import shlex
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from authsvc import settings

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
PACKAGES = ("authsvc", "loader", "rules")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def logical_lines(path: str) -> list[str]:
    """The lines of a file without comments and empty ones, a continued line joined to one."""
    text = (ROOT / path).read_text().replace("\\\n", " ")
    return [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def docker_steps() -> list[tuple[str, str]]:
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in logical_lines("Dockerfile"))]


def words(step: str) -> list[str]:
    """The words of an instruction in exec form (a JSON list) or in shell form."""
    return ast.literal_eval(step) if step.startswith("[") else shlex.split(step)


def compose() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "compose.yaml").read_text())


def substituted(environment: dict[str, str]) -> dict[str, str]:
    """Compose's `${NAME:-default}` with the default."""
    return {name: re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value) for name, value in environment.items()}


def pins(path: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9][a-z0-9._-]*)(?:\[\S+\])?==(\S+)", (ROOT / path).read_text(), re.MULTILINE))


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(word) for word in command], cwd=ROOT, capture_output=True, text=True, check=False)


def authsvc_commands() -> list[tuple[str, ...]]:
    """Every way in which the packaging calls the service's own command, without the program's name."""
    steps = docker_steps()
    [entry] = [words(rest) for word, rest in steps if word == "ENTRYPOINT"]
    [command] = [words(rest) for word, rest in steps if word == "CMD"]
    [health] = [words(rest.partition(" CMD ")[2]) for word, rest in steps if word == "HEALTHCHECK"]
    assert entry == ["authsvc"]
    assert health[0] == "authsvc"
    built = [tuple(service["command"]) for service in compose()["services"].values() if "build" in service]
    recipes = [
        shlex.split(line.split("/authsvc ")[1]) for line in logical_lines("Makefile") if "$(BIN)/authsvc " in line
    ]
    made = [tuple(word for word in recipe if not word.startswith("$")) for recipe in recipes]
    return sorted({tuple(command), tuple(health[1:]), *built, *made})


@pytest.mark.parametrize("command", authsvc_commands(), ids=" ".join)
def test_every_service_command_that_the_packaging_names_exists(command: tuple[str, ...]) -> None:
    result = run(BIN / "authsvc", *command, "--help")
    assert result.returncode == 0, result.stderr
    assert command[-1] in result.stdout


def test_the_image_copies_only_files_that_exist_and_are_not_ignored() -> None:
    allowed = {line[1:] for line in logical_lines(".dockerignore") if line.startswith("!")}
    copies = [words(rest) for word, rest in docker_steps() if word == "COPY" and "--from=" not in rest]
    sources = {source.rstrip("/") for *files, _ in copies for source in files}
    assert sources == allowed
    assert [source for source in sources if not (ROOT / source).exists()] == []
    assert sources.issuperset(PACKAGES)


def test_every_run_step_of_the_image_is_plain_shell() -> None:
    steps = [rest for word, rest in docker_steps() if word == "RUN"]
    assert steps
    for step in steps:
        assert not step.startswith(("--", "[", "<<")), step  # what only a build engine understands
        assert run("/bin/sh", "-n", "-c", step).returncode == 0, step
        assert Path(words(step)[0]).name in {"python", "pip", "useradd"}, step


def test_the_image_runs_as_an_ordinary_user_and_listens_on_the_ports_of_the_settings() -> None:
    steps = docker_steps()
    last_user = [rest for word, rest in steps if word == "USER"][-1]
    assert last_user not in {"", "0", "root"}
    [exposed] = [rest for word, rest in steps if word == "EXPOSE"]
    defaults = settings.Settings()
    assert exposed.split() == [str(defaults.port), str(defaults.metrics_port)]


def test_the_final_stage_takes_from_stages_that_exist() -> None:
    stages = {rest.split(" AS ")[1] for word, rest in docker_steps() if word == "FROM" and " AS " in rest}
    taken = set(re.findall(r"--from=(\S+)", (ROOT / "Dockerfile").read_text()))
    assert taken == stages


def test_the_compose_file_gives_settings_that_the_service_accepts() -> None:
    image = dict(pair.split("=", 1) for word, rest in docker_steps() if word == "ENV" for pair in words(rest))
    services = compose()["services"]
    for name in ("authsvc", "migrate"):
        effective = settings.load({**image, **substituted(services[name]["environment"])})
        assert not effective.embedded
        assert effective.host == "0.0.0.0"
    published = services["authsvc"]["ports"]
    last = effective.metrics_port + int(services["authsvc"]["environment"]["AUTHSVC_WORKERS"]) - 1
    metrics = f"{effective.metrics_port}-{last}"
    assert published == [f"{effective.port}:{effective.port}", f"{metrics}:{metrics}"]


def test_the_compose_services_wait_for_each_other_by_health() -> None:
    services = compose()["services"]
    for name, service in services.items():
        assert service.get("build") == "." or service["healthcheck"]["test"][0] == "CMD", name
        for other, wait in service.get("depends_on", {}).items():
            finite = services[other].get("command") == ["db", "migrate"]
            assert wait["condition"] == ("service_completed_successfully" if finite else "service_healthy")
    assert set(services) == {"postgres", "valkey", "migrate", "authsvc"}


def test_the_compose_file_agrees_with_itself_on_hosts_and_credentials() -> None:
    services = compose()["services"]
    database = substituted(services["postgres"]["environment"])
    service = substituted(services["authsvc"]["environment"])
    user, password, name = (database[f"POSTGRES_{part}"] for part in ("USER", "PASSWORD", "DB"))
    assert service["AUTHSVC_DATABASE_URL"] == f"postgresql://{user}:{password}@postgres:5432/{name}"
    assert service["AUTHSVC_REDIS_URL"] == "redis://valkey:6379/0"
    assert "noeviction" in services["valkey"]["command"]


def test_every_make_target_is_explained_and_can_be_planned() -> None:
    text = (ROOT / "Makefile").read_text()
    [targets] = [line.split()[1:] for line in text.splitlines() if line.startswith(".PHONY:")]
    shown = run("make", "--no-print-directory", "help").stdout
    assert re.findall(r"make (\w+)", shown) == targets
    for target in targets:
        assert run("make", "--dry-run", target).returncode == 0, target


def test_every_tool_that_the_makefile_calls_is_installed() -> None:
    tools = set(re.findall(r"\$\(BIN\)/([\w-]+)", (ROOT / "Makefile").read_text()))
    assert tools.issuperset({"ruff", "mypy", "lint-imports", "python", "authsvc"})
    assert [tool for tool in tools if not os.access(BIN / tool, os.X_OK)] == []


def test_continuous_integration_runs_make_test_and_nothing_else() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert [line for line in logical_lines(".ci/run") if line.split()[0] not in {"set", "cd"}] == ["make test"]


def test_the_generated_code_is_what_the_protos_give(tmp_path: Path) -> None:
    result = run("make", "--silent", "protos", f"PROTOS_OUT={tmp_path}")
    assert result.returncode == 0, result.stderr
    fresh = {path.name: path.read_text() for path in (tmp_path / "authsvc" / "v1").iterdir()}
    kept = {path.name: path.read_text() for path in (ROOT / "authsvc" / "v1").glob("*_pb2*")}
    assert fresh
    assert fresh == kept, "stale: run `make protos`"


def test_the_locks_pin_everything_that_the_project_names_with_hashes() -> None:
    project = PYPROJECT["project"]
    extras = project["optional-dependencies"]
    for lock, wanted in (
        ("requirements.lock", [*project["dependencies"], *(name for extra in extras.values() for name in extra)]),
        ("requirements-run.lock", [*project["dependencies"], *extras["build"]]),
    ):
        pinned = pins(lock)
        names = {re.split(r"[\[>=<~! ;]", name)[0].lower().replace("_", "-") for name in wanted}
        assert names - pinned.keys() == set(), lock
        assert (ROOT / lock).read_text().count("==") >= len(pinned)
        blocks = re.split(r"^(?=[a-z0-9])", (ROOT / lock).read_text(), flags=re.MULTILINE)[1:]
        assert [block.split()[0] for block in blocks if "--hash=sha256:" not in block] == [], lock


def test_the_image_installs_the_versions_that_are_tested() -> None:
    assert pins("requirements-run.lock").items() <= pins("requirements.lock").items()


def test_the_image_has_what_sqlalchemy_needs_for_asyncio_and_does_not_ask_for() -> None:
    assert "greenlet" in pins("requirements-run.lock"), "depend on sqlalchemy[asyncio], then `make lock`"


@pytest.mark.parametrize(
    "name", ["requirements.lock", "requirements-run.lock", "Makefile", "Dockerfile", "pyproject.toml"]
)
def test_no_file_names_a_package_index(name: str) -> None:
    assert re.findall(r"--(?:extra-)?index-url|--find-links|https?://\S*pypi", (ROOT / name).read_text()) == []


def test_the_wheel_holds_every_file_of_the_packages(tmp_path: Path) -> None:
    result = run(BIN / "python", "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path))
    assert result.returncode == 0, result.stderr
    [wheel] = tmp_path.glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    kept = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert kept - held == set()


def test_the_rules_import_the_standard_library_only() -> None:
    imported: dict[str, str] = {}
    for path in (ROOT / "rules").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0]: path.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, path
                imported[(node.module or "").split(".")[0]] = path.name
    assert imported.keys() - sys.stdlib_module_names - {"rules"} == set()

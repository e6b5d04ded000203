"""The repository's own rules: sizes, banned calls, names, and papers that say what the code says."""

import ast
import importlib.util
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

from authsvc.settings import PREFIX, Settings
from rules.reasons import CHECK_OF_REASON, LEVEL_OF_REASON, Reason

ROOT = Path(__file__).parents[2]
PACKAGES = ("authsvc", "loader", "rules")
GENERATED = ROOT / "authsvc" / "v1"
FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 400
README_LINES_MAX = 90
# Path: why it may be longer. Empty is best.
LONG_FILES = {
    "tests/simulation/postgres.py": "one server, one stand-in: its rules are compared with the SQL side by side",
}
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "manager", "base", "common", "misc"}
# What is banned, and where it has its place. A place that ends with / is a folder.
BANNED = {
    # Whoever starts a process waits for it; nothing else runs there meanwhile.
    "time.sleep": ("authsvc/embedded/",),
    "time.time": ("authsvc/clock.py",),
    "time.time_ns": ("authsvc/clock.py",),
    "time.monotonic": ("authsvc/clock.py", "authsvc/embedded/", "authsvc/cli/", "authsvc/demo/"),
    "datetime.now": ("authsvc/clock.py",),
    "datetime.utcnow": (),
    "datetime.today": (),
    "date.today": (),
    # A child process gets its parent's environment with its own settings on top.
    "os.environ": ("authsvc/settings.py", "authsvc/supervisor.py", "authsvc/embedded/", "authsvc/demo/"),
    "os.getenv": (),
    "uuid.uuid4": ("authsvc/client/", "authsvc/cli/", "authsvc/demo/"),
    "print": (),
    "eval": (),
    "exec": (),
    "breakpoint": (),
}
PAPERS = [ROOT / "README.md", ROOT / "tests" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def written(*folders: str) -> list[Path]:
    """Python that people write, in these folders or, without any, everywhere."""
    roots = [ROOT / folder for folder in folders or (*PACKAGES, "bench", "docs", "tests")]
    return sorted(path for root in roots for path in root.rglob("*.py") if GENERATED not in path.parents)


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def committed_texts() -> Iterator[tuple[str, str]]:
    """Everything that a reader of the repository may open, the locks apart."""
    skipped = {".git", ".venv", ".authsvc", ".hypothesis", "__pycache__"}
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        if not path.is_file() or skipped & set(parts) or any(part.endswith("_cache") for part in parts):
            continue
        if (
            path.suffix in {".py", ".pyi", ".md", ".toml", ".yaml", ".sql", ".lua", ".proto", ".json"}
            or "." not in path.name
        ):
            yield name_of(path), path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", written(), ids=name_of)
def test_no_function_is_longer_than_70_lines_and_no_file_longer_than_400(path: Path) -> None:
    functions = [node for node in ast.walk(tree(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    lengths = {node.name: (node.end_lineno or node.lineno) - node.lineno + 1 for node in functions}
    assert {name: lines for name, lines in lengths.items() if lines > FUNCTION_LINES_MAX} == {}
    if name_of(path) not in LONG_FILES:
        assert len(path.read_text(encoding="utf-8").splitlines()) <= FILE_LINES_MAX


@pytest.mark.parametrize("path", written(*PACKAGES), ids=name_of)
def test_nothing_is_called_that_has_its_place_elsewhere(path: Path) -> None:
    used = {ast.unparse(node) for node in ast.walk(tree(path)) if isinstance(node, ast.Attribute)}
    used |= {
        node.func.id for node in ast.walk(tree(path)) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    for banned, places in BANNED.items():
        if any(name_of(path) == place or (place.endswith("/") and name_of(path).startswith(place)) for place in places):
            continue
        assert not [name for name in used if name in (banned, f"datetime.{banned}")], banned


@pytest.mark.parametrize("path", written(*PACKAGES), ids=name_of)
def test_chance_is_an_argument(path: Path) -> None:
    imported = [name.name for node in ast.walk(tree(path)) if isinstance(node, ast.Import) for name in node.names]
    # A seeded Random may be handed around; the module's own generator may not be used.
    assert not {"random", "secrets"} & set(imported)


@pytest.mark.parametrize("path", written("rules"), ids=name_of)
def test_no_float_touches_money(path: Path) -> None:
    for node in ast.walk(tree(path)):
        assert not isinstance(node, ast.Div), "true division makes floats"
        assert not (isinstance(node, ast.Constant) and isinstance(node.value, float))
        assert not (isinstance(node, ast.Name) and node.id == "float")


def test_every_name_that_holds_minor_units_is_an_integer() -> None:
    wrong = {
        f"{name_of(path)}: {ast.unparse(node)}"
        for path in written(*PACKAGES)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.AnnAssign | ast.arg)
        and node.annotation is not None
        and (node.arg if isinstance(node, ast.arg) else ast.unparse(node.target)).endswith("_minor")
        and re.search(r"\b(float|Decimal|Any|object)\b", ast.unparse(node.annotation))
    }
    assert wrong == set()


@pytest.mark.parametrize("path", written(), ids=name_of)
def test_no_module_has_a_name_that_says_nothing(path: Path) -> None:
    assert not VAGUE_NAMES & {path.stem, *path.relative_to(ROOT).parts[:-1]}


def test_no_file_holds_a_path_of_somebodys_machine() -> None:
    homes = re.compile(r"/(?:home|Users)/\w+|/root/\w+|C:\\\\Users")
    found = {name: homes.findall(text) for name, text in committed_texts() if name != name_of(Path(__file__))}
    assert {name: paths for name, paths in found.items() if paths} == {}


def test_no_file_holds_what_looks_like_a_card_number() -> None:
    digits = re.compile(r"(?<![\d.])(?:\d[ -]?){13,19}(?![\d.])")

    def luhn(text: str) -> bool:
        numbers = [int(digit) for digit in reversed(re.sub(r"\D", "", text))]
        return sum(digit if at % 2 == 0 else sum(divmod(2 * digit, 10)) for at, digit in enumerate(numbers)) % 10 == 0

    found = {
        f"{name}: {text}"
        for name, whole in committed_texts()
        for text in digits.findall(whole)
        if 15 <= len(re.sub(r"\D", "", text)) <= 16 and re.sub(r"\D", "", text)[0] in "3456" and luhn(text)
    }
    assert found == set()


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= README_LINES_MAX


# --- papers that say what the code says -------------------------------------------------------------------------------


def test_the_evaluation_page_lists_the_reasons_in_the_order_of_the_code() -> None:
    text = (ROOT / "docs" / "evaluation.md").read_text(encoding="utf-8")
    rows = [[cell.strip(" `") for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    told = [(row[1], row[3], row[4]) for row in rows if len(row) == 5 and row[3] in Reason.__members__]
    assert told == [
        (
            CHECK_OF_REASON[reason].name if reason in CHECK_OF_REASON else "–",
            reason.name,
            LEVEL_OF_REASON[reason].name.lower() if reason is not Reason.APPROVED else "–",
        )
        for reason in Reason
    ]


def test_the_operating_page_lists_every_setting_with_its_default_and_no_other() -> None:
    text = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
    told = dict(re.findall(rf"^\| `{PREFIX}(\w+)` \| (\S+) \|", text, re.MULTILINE))
    defaults = {name.upper(): value for name, value in Settings().model_dump(mode="json").items()}
    assert told == {name: _cell(value) for name, value in defaults.items()}


def _cell(value: object) -> str:
    if value is None:
        return "–"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def test_the_operating_page_lists_every_metric() -> None:
    names = set()
    for path in (ROOT / "authsvc" / "metrics.py", ROOT / "authsvc" / "app.py"):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Constant) and re.fullmatch(r"authsvc_[a-z_]+", str(node.value)):
                names.add(node.value)
    text = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
    assert len(names) >= 15
    assert {name for name in names if not re.search(rf"`{name}(_total)?`", text)} == set()


def test_the_api_page_is_what_the_protos_say() -> None:
    made = _module(ROOT / "docs" / "make_api.py").page()
    assert (ROOT / "docs" / "api.md").read_text(encoding="utf-8") == made, "run: make docs"


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_everything_in_the_contract_has_a_comment() -> None:
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| ")]
    assert [row for row in rows if row.rstrip(" |").endswith("|") or row.endswith("|  |")] == []
    assert not re.search(r"^### .*\n\n\n", page, re.MULTILINE)


def test_every_folder_of_tests_has_a_line_in_their_readme() -> None:
    text = (ROOT / "tests" / "README.md").read_text(encoding="utf-8")
    folders = {path.parent.name for path in (ROOT / "tests").rglob("*") if path.suffix in {".py", ".yaml"}} - {"tests"}
    told = set(re.findall(r"^\| `(\w+)/` \|", text, re.MULTILINE))
    assert told == folders


@pytest.mark.parametrize("paper", PAPERS, ids=name_of)
def test_every_link_to_a_file_leads_to_one(paper: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)", paper.read_text(encoding="utf-8"))
    local = [link for link in links if "://" not in link and not link.startswith("mailto:")]
    assert [link for link in local if not (paper.parent / link).exists()] == []


@pytest.mark.parametrize("paper", PAPERS, ids=name_of)
def test_every_link_to_a_heading_leads_to_one(paper: Path) -> None:
    text = paper.read_text(encoding="utf-8")
    for path, anchor in re.findall(r"\]\(([^)#\s:]*)#([^)\s]+)\)", text):
        target = paper.parent / path if path else paper
        assert anchor in _anchors(target.read_text(encoding="utf-8")), f"{path}#{anchor}"


def _anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}

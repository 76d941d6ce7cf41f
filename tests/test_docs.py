"""The documentation is complete, current and true: what it shows runs, what it names exists, links lead somewhere."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from maskferry.cli import main
from maskferry.cli._app import app
from maskferry.engines.registry import BUILT_IN

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
API = {
    "maskferry" if path.stem == "maskferry" else f"maskferry.{path.stem}": path
    for path in sorted((ROOT / "docs" / "api").glob("*.md"))
    if path.stem != "index"
}
"""{public module: its page}"""
TUTORIAL = ROOT / "docs" / "tutorial.md"
MAP = ROOT / "docs" / "map.md"
ENGINES = ROOT / "docs" / "engines.md"
CLI = ROOT / "docs" / "cli.md"
BATCH = ROOT / "docs" / "batch.md"
WITHOUT_PAGE = {
    "maskferry.child_processes",  # of web and batch
    "maskferry.cli",  # docs/cli.md
    *(f"maskferry.{name}" for name in ("drawing", "images", "one_call", "rle", "tracker")),  # shown by `maskferry`
}

sys.path.append(str(ROOT / "docs"))
reference = importlib.import_module("build_reference")


def page_id(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def blocks(path: Path, language: str) -> list[tuple[int, str]]:
    """(line, code) of the fenced blocks of a language that are not marked ``<!-- not run ... -->``."""
    text = path.read_text(encoding="utf-8")
    pattern = rf"(?P<mark><!-- not run[^>]*-->\n)?^```{language}\n(?P<code>.*?)^```$"
    found = re.finditer(pattern, text, re.MULTILINE | re.DOTALL)
    return [(text[: m.start("code")].count("\n") + 1, m["code"]) for m in found if not m["mark"]]


def run_python(path: Path, code_blocks: list[tuple[int, str]]) -> dict[str, object]:
    """Run blocks one after the other in one namespace; tracebacks name the page and the line."""
    names: dict[str, object] = {"__name__": "page"}
    for line, code in code_blocks:
        exec(compile("\n" * (line - 1) + code, str(path), "exec"), names)
    return names


def commands(path: Path) -> list[list[str]]:
    """The arguments of every ``$ maskferry ...`` that a page shows in a console block that can be run."""
    lines = [line for _, code in blocks(path, "console") for line in code.splitlines()]
    return [shlex.split(line, comments=True)[2:] for line in lines if line.startswith("$ maskferry")]


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder to work in, without a screen."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    yield tmp_path


@pytest.fixture
def clip(elsewhere: Path) -> Path:
    """The folder, with the tutorial's film and masks of its objects as pictures."""
    scene = run_python(TUTORIAL, blocks(TUTORIAL, "python")[:1])
    for name in ("ball", "crate"):
        PIL.Image.fromarray(scene[name](0)).save(f"{name}.png")
    labels = scene["ball"](0) + np.uint8(2) * scene["crate"](0)
    PIL.Image.fromarray(labels).save("first.png")
    return elsewhere


@pytest.fixture
def quick_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make "auto" the engine hold."""
    monkeypatch.setitem(BUILT_IN, "hold", replace(BUILT_IN["hold"], rank=99))


# --- what is shown runs -----------------------------------------------------------------------------------------


def test_tutorial_runs(elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_python(TUTORIAL, blocks(TUTORIAL, "python"))
    assert "masks[0] is empty" in capsys.readouterr().out
    given = commands(TUTORIAL)
    assert len(given) >= 5
    for arguments in given:
        assert main(arguments) == 0, shlex.join(arguments)
    for name in ("overlay.mp4", "sheet.png", "frames.png", "tracks.csv", "masks", "objects", "film.mp4", "out/masks"):
        assert (elsewhere / name).exists(), name


@pytest.mark.filterwarnings("ignore:not on the grid of the series")
def test_map_page_runs(elsewhere: Path, quick_engine: None) -> None:
    for needed in ("rasterio", "pyogrio", "geopandas", "pyarrow"):
        pytest.importorskip(needed, reason="needs the extras geo and test")
    run_python(MAP, blocks(MAP, "python"))
    given = commands(MAP)
    assert given
    for arguments in given:
        assert main(arguments) == 0, shlex.join(arguments)
    for name in ("results/maps/S2_20200121_mask.tif", "out/objects.gpkg", "out/areas.csv", "water.geojson"):
        assert (elsewhere / name).exists(), name


def test_batch_page_runs(elsewhere: Path) -> None:
    run_python(BATCH, blocks(BATCH, "python"))
    given = commands(BATCH)
    assert len(given) == 3
    for arguments in given:
        assert main(arguments) == 0, shlex.join(arguments)
    assert (elsewhere / "out/report.html").exists()
    assert not (elsewhere / "planned").exists()


def test_the_costs_of_a_batch_are_current() -> None:
    there, made = importlib.import_module("tables").pages("batch_costs")
    assert there == made, "docs/batch.md is stale: run `python docs/tables.py`"


def test_examples_of_clusters_are_well_formed() -> None:
    folder = ROOT / "examples" / "batch"
    assert subprocess.run(["bash", "-n", folder / "slurm.sh"], check=False).returncode == 0
    definition = json.loads((folder / "aws_batch.json").read_text(encoding="utf-8"))
    yaml = pytest.importorskip("yaml")
    job = yaml.safe_load((folder / "kuberay.yaml").read_text(encoding="utf-8"))
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    script = (folder / "slurm.sh").read_text(encoding="utf-8")
    lines = [job["spec"]["entrypoint"], shlex.join(definition["containerProperties"]["command"])]
    lines += re.findall(r"^(maskferry batch .*?) &$", script, re.MULTILINE)
    assert len(lines) == 3
    command = next(command.callback for command in app.registered_commands if command.name == "batch")
    options = {option for p in reference.cli_parameters(command) for option in p.names}
    for line in lines:
        assert {word for word in shlex.split(line) if word.startswith("-")} <= options, line


def test_readme_runs(clip: Path, quick_engine: None) -> None:
    run_python(ROOT / "README.md", blocks(ROOT / "README.md", "python"))
    given = commands(ROOT / "README.md")
    assert given
    for arguments in given:
        assert main(arguments) == 0, shlex.join(arguments)


def test_engines_page_runs(elsewhere: Path) -> None:
    run_python(ENGINES, blocks(ENGINES, "python"))
    for arguments in commands(ENGINES):
        assert main(arguments) == 0, shlex.join(arguments)


def test_the_plugin_of_the_engines_page_passes_the_contract(elsewhere: Path) -> None:
    wanted = [code for _, code in blocks(ENGINES, "python") if "class ShiftEngine" in code or "EngineContract" in code]
    assert len(wanted) == 2
    (elsewhere / "test_shift.py").write_text("\n\n".join(wanted), encoding="utf-8")
    run = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_shift.py"]
    done = subprocess.run(run, cwd=elsewhere, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert re.search(r"\b1[0-9] passed", done.stdout)


# --- what is named exists ---------------------------------------------------------------------------------------


def shown_commands() -> list[tuple[str, str]]:
    """(page, command) of every ``maskferry ...`` line in console and text blocks, run or not."""
    found = []
    for path in PAGES:
        for language in ("console", "text", "bash"):
            pattern = rf"^```{language}\n(.*?)^```$"
            for code in re.findall(pattern, path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
                whole = code.replace("\\\n", " ")
                found += [(page_id(path), line) for line in re.findall(r"^(?:\$| ) *maskferry (.+)$", whole, re.M)]
    return found


@pytest.mark.parametrize(("page", "line"), shown_commands())
def test_commands_and_options_exist(page: str, line: str) -> None:
    name, *rest = shlex.split(line, comments=True)
    known = {str(command.name): command.callback for command in app.registered_commands}
    assert name in known, f"{page}: maskferry {name}"
    options = {option for p in reference.cli_parameters(known[name]) for option in p.names} | {"--help"}
    for word in rest:
        if word.startswith("-"):
            assert word in options, f"{page}: maskferry {name} {word}"


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    shown = {
        target
        for path in PAGES
        for target in re.findall(r"^\$ make ([a-z]+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert {"demo", "test"} <= shown <= targets


def test_extras_exist() -> None:
    metadata = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    extras = set(re.findall(r"^([a-z-]+) = \[", metadata.partition("[project.optional-dependencies]")[2], re.MULTILINE))
    for path in PAGES:
        for text in re.findall(r"(?:maskferry|\.)\[([a-z,-]+)\]", path.read_text(encoding="utf-8")):
            assert set(text.split(",")) <= extras, f"{page_id(path)}: {text}"


# --- complete and current ---------------------------------------------------------------------------------------


def test_the_cli_page_is_current() -> None:
    stale = CLI.read_text(encoding="utf-8") != reference.build_cli()
    assert not stale, "docs/cli.md is stale: run `python docs/build_reference.py`"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documentation site, built strictly from a copy of what it is made of."""
    if importlib.util.find_spec("zensical") is None:
        pytest.skip("needs the extra docs")
    copy = tmp_path_factory.mktemp("site")
    for name in ("zensical.toml", "CHANGELOG.md"):
        shutil.copy(ROOT / name, copy)
    for name in ("docs", "src"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    build = [sys.executable, "-m", "zensical", "build", "--strict"]
    done = subprocess.run(build, cwd=copy, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return copy / "site"


@pytest.mark.parametrize("module", API)
def test_every_public_name_is_on_the_page_of_its_module(module: str, site: Path) -> None:
    page = (site / "api" / API[module].stem / "index.html").read_text(encoding="utf-8")
    shown = set(re.findall(r'id="([^"]+)"', page))
    wanted = {f"{module}.{name}" for name in importlib.import_module(module).__all__ if name != "__version__"}
    assert wanted
    assert wanted <= shown, "no docstring, or not found: " + ", ".join(sorted(wanted - shown))


def test_every_public_module_has_a_page() -> None:
    source = ROOT / "src"
    paths = [path.relative_to(source).with_suffix("") for path in (source / "maskferry").rglob("*.py")]
    modules = {".".join(path.parts).removesuffix(".__init__") for path in paths}
    public = {name for name in modules if "._" not in name}
    assert set(API) <= public
    assert public - WITHOUT_PAGE <= set(API)


def test_every_page_is_in_the_navigation(site: Path) -> None:
    home = (site / "index.html").read_text(encoding="utf-8")
    for page in (ROOT / "docs").rglob("*.md"):
        address = page.relative_to(ROOT / "docs").with_suffix("").as_posix().removesuffix("index").rstrip("/")
        assert not address or re.search(rf'href="(\./)?{re.escape(address)}/"', home), page_id(page)


def test_the_pages_load_nothing_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        loaded = re.findall(
            r'<(?:script|link|img|iframe)[^>]+(?:src|href)="(https?://[^"]+)"', page.read_text(encoding="utf-8")
        )
        assert loaded == [], page


def missing_docs(thing: Any, name: str) -> list[str]:
    """Of a class or function and a class's own public members, those without a docstring."""
    missing = [] if inspect.getdoc(thing) and thing.__doc__ else [name]
    for member, value in vars(thing).items() if inspect.isclass(thing) else ():
        documented = getattr(value, "__func__", value)  # of class and static methods
        if not member.startswith("_") and (inspect.isfunction(documented) or isinstance(documented, property)):
            missing += [] if documented.__doc__ else [f"{name}.{member}"]
    return missing


@pytest.mark.parametrize("module", API)
def test_everything_public_has_a_docstring(module: str) -> None:
    if module == "maskferry.engines":
        pytest.importorskip("torch", reason="SamEngine needs torch")
    loaded = importlib.import_module(module)
    assert loaded.__doc__
    for name in loaded.__all__:
        thing = getattr(loaded, name)
        if inspect.isclass(thing) or inspect.isfunction(thing):
            assert missing_docs(thing, name) == []


def test_a_missing_docstring_is_found() -> None:
    class Bare:
        def method(self) -> None: ...

        @classmethod
        def other(cls) -> None:
            """Has one."""

    assert missing_docs(Bare, "Bare") == ["Bare", "Bare.method"]


def test_every_command_is_in_the_reference() -> None:
    page = CLI.read_text(encoding="utf-8")
    for command in app.registered_commands:
        assert f"## maskferry {command.name}" in page
        for parameter in reference.cli_parameters(command.callback):
            assert parameter.info.help, f"maskferry {command.name} {parameter.names}: no help"


# --- links ------------------------------------------------------------------------------------------------------


def without_code(text: str) -> str:
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL))


def slug(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    kept = re.sub(r"[^\w\- ]", "", heading.replace("`", "").strip().lower())
    return kept.replace(" ", "-")


def anchors(path: Path) -> set[str]:
    """The anchors that GitHub makes of a page's headings."""
    text = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return {slug(heading) for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}


@pytest.mark.parametrize("path", PAGES, ids=page_id)
def test_links_point_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(path.read_text(encoding="utf-8"))):
        if re.match(r"https?://", target):
            continue
        file, _, anchor = target.partition("#")
        there = (path.parent / file).resolve() if file else path
        assert there.exists(), f"{page_id(path)}: {target}"
        if there.parent.name != "api":  # whose headings are made of docstrings: the strict build knows them
            assert not anchor or anchor in anchors(there), f"{page_id(path)}: {target}: there is no such heading"


def test_every_promise_is_held_by_tests_that_exist() -> None:
    text = (ROOT / "docs" / "promises.md").read_text(encoding="utf-8")
    promised, _, _ = text.partition("## What is not promised")
    promises = re.findall(r"^\*\*(.+?)\*\*", promised, re.MULTILINE | re.DOTALL)
    holders = re.findall(r"\*Held by\* ((?:`[^`]+`,?\s*)+)", promised)
    assert len(promises) == len(holders) > 10
    for path, name in re.findall(r"`(tests/\w+\.py)::(\w+)`", promised):
        assert re.search(rf"^def {name}\(", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE), f"{path}::{name}"


def test_pictures_are_small() -> None:
    pictures = list((ROOT / "docs" / "images").glob("*.png"))
    assert pictures
    for picture in pictures:
        assert picture.stat().st_size < 250_000, picture.name


@pytest.mark.parametrize("path", [ROOT / "README.md", TUTORIAL, MAP, ENGINES, CLI], ids=page_id)
def test_lines_fit(path: Path) -> None:
    """120 characters; tables and what cannot be broken may be longer."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        assert len(line) <= 120 or line.startswith("|") or " " not in line.strip(), f"{page_id(path)}:{number}"

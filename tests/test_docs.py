"""README and docs are true: every command parses, every Python block runs, every link leads somewhere."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from evalkit.cli import COMMANDS, main
from evalkit.quickstart import command as quickstart
from evalkit.quickstart.config import Quickstart
from rewards.files import write_rows
from tests.judges.asking.chat_server import serving

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "results" / "README.md"]


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def blocks(page: Path, *languages: str) -> list[str]:
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"```(?:{'|'.join(languages)})\n(.*?)```", text, re.DOTALL)


def shown_commands() -> list[str]:
    """The lines of the pages' shell blocks that run `evalkit`."""
    shell = "\n".join(block for page in PAGES for block in blocks(page, "sh", "bash", "console"))
    lines = shell.replace("\\\n", " ").splitlines()
    return [line.removeprefix("$ ").partition(" #")[0] for line in lines if re.match(r"(\$ )?evalkit ", line)]


@pytest.mark.parametrize("line", dict.fromkeys(shown_commands()))
def test_every_command_that_the_documents_show_can_be_parsed(line, capsys):
    words = shlex.split(line)[1:]
    with pytest.raises(SystemExit) as stop:
        main([*words, "--print_config"])
    assert stop.value.code == 0, capsys.readouterr().err


def test_the_documents_show_every_command():
    shown = " \n".join(shown_commands())
    assert [name for name in COMMANDS if f"evalkit {name} " not in shown] == []


def test_no_block_hides_commands_from_these_tests():
    """A block without a language is neither parsed nor run."""
    for page in PAGES:
        fences = re.findall(r"^```(.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
        assert set(fences[::2]) <= {"sh", "python", "text", "json", "jsonl", "yaml", "toml"}, named(page)
        assert set(fences[1::2]) <= {""}, named(page)


def slug(heading: str) -> str:
    """The anchor that a heading gets on GitHub."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if re.match(r"https?://|mailto:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{named(page)}: {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in map(slug, headings), f"{named(page)}: {target}"


def test_readme_is_short_and_the_index_names_every_page():
    assert (ROOT / "README.md").read_text(encoding="utf-8").count("\n") < 200
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert [name for name in sorted(pages) if f"]({name})" not in index] == []


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    """A folder with what readers have: `quickstart`, hardly trained, and two systems' answers."""
    folder = tmp_path_factory.mktemp("docs")
    quickstart.run(Quickstart(out=str(folder / "quickstart"), prompts=8, samples=16, labels=48, updates=20))
    for name, answer in (("tuned", "4"), ("base", "5")):
        write_rows(folder / f"{name}.jsonl", [{"prompt": "What is 2 + 2?", "response": answer}])
    told = {
        "first": "4",
        "second": "It is 4.",
        "first_system": "tuned",
        "second_system": "base",
        "judge": "j",
    }
    winners = ("first", "first", "second", "tie")
    verdicts = [{"prompt": f"Question {place}", "winner": one, **told} for place, one in enumerate(winners)]
    write_rows(folder / "verdicts.jsonl", verdicts)
    return folder


@pytest.fixture(scope="module")
def endpoint():
    """A server that answers as OpenAI's does."""
    with serving() as url:
        yield url


PYTHON = [
    (page, number)
    for page in PAGES
    if page.name != "extending.md"  # tests/test_extending.py runs these, with what they extend
    for number, _ in enumerate(blocks(page, "python"))
]


@pytest.mark.parametrize(("page", "number"), PYTHON, ids=lambda part: getattr(part, "name", str(part)))
def test_every_python_block_runs(page, number, world, endpoint, monkeypatch, capsys):
    monkeypatch.chdir(world)
    monkeypatch.setenv("OPENAI_BASE_URL", endpoint)
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    block = blocks(page, "python")[number]
    exec(compile(block, f"{named(page)} block {number + 1}", "exec"), {})
    assert capsys.readouterr().out.strip(), "a block that prints nothing shows nothing"


def test_the_table_of_results_names_every_folder():
    tracked = subprocess.run(
        ["git", "ls-files", "results"], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout.split()
    folders = {name.split("/")[1] for name in tracked if name.count("/") > 1}
    index = (ROOT / "results" / "README.md").read_text(encoding="utf-8")
    assert [name for name in sorted(folders) if f"]({name})" not in index] == []

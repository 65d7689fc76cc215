"""The documentation is true: its tree, links, flags, commands, examples and recipe are checked against the source."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import infer
import interpret.__main__ as interpret_command
import runs.__main__ as runs_command
import train
import ui.__main__ as report_command
from config.presets import PRESET_NAMES, SIZES, load_preset, size_fields
from config.sizes import count_parameters
from interop import hugging_face
from runs import compare_command, label_command, race_command
from tests.test_imports import RULES
from text import command_line, prepare, storyteller

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
RECIPE = (ROOT / "docs" / "adding_a_component.md").read_text(encoding="utf-8")
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
SOURCE_FOLDERS = (".ci", ".streamlit", "benchmarks", "components", "config", "docs", "examples", "generation",
                  "interop", "interpret", "learn", "pages", "runs", "text", "training", "ui")  # fmt: skip
# Their files are not listed one by one.
TREE_AS_FOLDERS = ("tests", "config/preset_files", "text/story_grammar", "learn/chapters", "learn/notebooks")
# Settings that make any training of the README take a second.
SMALL = ["--max_steps", "2", "--batch_size", "2", "--eval_iters", "1", "--sample_tokens", "5", "--d_model", "16",
         "--n_heads", "2", "--n_kv_heads", "1", "--n_layers", "1", "--d_mlp", "16", "--n_ctx", "32",
         "--warmup_steps", "1", "--device", "cpu", "--dtype", "float32"]  # fmt: skip


def child(*command: str, cwd: Path, source: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run Python with the source on its path, on one thread."""
    environment = os.environ | {"PYTHONPATH": str(source), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *command], cwd=cwd, env=environment, capture_output=True, text=True, timeout=300
    )


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def commands(page: str) -> list[str]:
    return [line for block in blocks(page, "sh") for line in block.splitlines()]


# --- the tree -----------------------------------------------------------------------------------------------------


def told_files() -> list[str]:
    """The paths in the README's tree, folders with a slash."""
    (tree,) = blocks(README.split("## Where things are")[1].split("\n## ")[0], "text")
    found: list[str] = []
    above: list[str] = []
    for line in filter(None, tree.splitlines()):
        depth = (len(line) - len(line.lstrip())) // 2
        name, about = line.split(maxsplit=1)
        assert about, line
        found.append("".join([*above[:depth], name]))
        above[depth:] = [name]
    return found


def real_files() -> set[str]:
    """The same from the disk; only folders of tests and of grammar stand for their files."""
    found = {"tests/", "checkpoints/"}
    found |= {path.name for path in ROOT.iterdir() if path.suffix in (".py", ".md", ".toml", ".txt", ".yaml")}
    found -= {"requirements.txt", "more.txt"}  # what the README's commands write
    for folder in SOURCE_FOLDERS:
        for path in [ROOT / folder, *(ROOT / folder).rglob("*")]:
            name = path.relative_to(ROOT).as_posix()
            if "__pycache__" in path.parts or path.name == "__init__.py":
                continue
            if not name.startswith(tuple(f"{folder}/" for folder in TREE_AS_FOLDERS)):
                found.add(f"{name}/" if path.is_dir() else name)
    for path in (ROOT / "tests").iterdir():
        if path.suffix == ".py":
            found.add(f"tests/{path.name}")
        elif any(path.glob("*.py")):
            found.add(f"tests/{path.name}/")
    return found


def test_nothing_is_told_twice():
    """Both files are merged by union, which keeps the old sentence beside the new one."""
    table = README.split("## What works")[1].split("\n## ")[0]
    rows = [line[2:28] for line in table.splitlines() if line.startswith("| ")]
    sentences = re.split(r"^\* ", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    for beginnings in (rows, [sentence[:28] for sentence in sentences]):
        assert [text for text, times in Counter(beginnings).items() if times > 1] == []
    assert [sentence for sentence in sentences if not sentence.rstrip().endswith(".")] == []


def test_the_tree_in_the_readme_is_the_repository():
    told = told_files()
    assert len(told) == len(set(told))
    assert {"missing in README": real_files() - set(told), "gone from the disk": set(told) - real_files()} == {
        "missing in README": set(),
        "gone from the disk": set(),
    }


# --- statements ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" not in target and not target.startswith("#"):
            assert (page.parent / target.split("#")[0]).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_named_in_a_sentence_is_there(page):
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    roots = [ROOT, *(ROOT / folder for folder in SOURCE_FOLDERS)]
    for name in re.findall(r"`([\w./]+\.(?:py|toml|md|yaml))`", text):
        if "NAME" not in name and "bilinear" not in name:
            assert any((root / name).exists() for root in roots), name


def test_the_button_that_the_readme_names_is_on_home():
    home = (ROOT / "pages" / "home.py").read_text(encoding="utf-8")
    (label,) = re.findall(r"Press \*\*(.+?)\*\* on the Home page", README)
    assert f'st.button("{label}"' in home


def flags_of(*parsers) -> set[str]:
    return {flag for parser in parsers for flag in parser._option_string_actions}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_flag_exists(page):
    known = flags_of(train.build_parser(), infer.build_parser(), runs_command._make_parser())
    known |= flags_of(prepare.build_parser(), race_command.make_race_parser(), race_command.make_scale_parser())
    known |= flags_of(compare_command.make_parser(), race_command.make_experts_parser(), label_command.make_parser())
    known |= flags_of(report_command.make_parser())
    for benchmark in (ROOT / "benchmarks").glob("*.py"):
        known |= set(re.findall(r'"(--[a-z]\w*)"', benchmark.read_text(encoding="utf-8")))
    known |= {"--megabytes", "--seed", "--out"}  # text.storyteller; its command is run below
    known |= {"--nproc", "--nnodes", "--rdzv", "--shutdown"}  # torchrun, in docs/scaling.md as the next line
    known |= {"--text"}  # python -m interpret, whose commands are run below
    known |= {"--with"}  # uv
    known |= {"--every"}  # pytest, in tests/conftest.py
    known |= {"--nodes", "--ntasks", "--gpus", "--signal"}  # Slurm
    told = set(re.findall(r"(?<![\w-])--[a-z]\w*", page.read_text(encoding="utf-8")))
    assert told <= known


def test_the_two_commands_stand_there_as_promised():
    assert "pip install uv && uv run streamlit run main.py" in commands(README)
    assert "pip install uv && uv run pytest" in commands(README)
    assert "\nuv run pytest\n" in (ROOT / ".ci" / "run").read_text(encoding="utf-8") + "\n"


def test_home_can_cut_off_the_title():
    assert README.startswith("# LLM From Scratch\n")  # pages/home.py has a title of its own


def table_row(title: str) -> list[str]:
    (row,) = [line for line in README.splitlines() if line.startswith(f"| {title} |")]
    return [cell.strip() for cell in row.strip("|").split("|")][1:]


def test_sizes_and_parameter_counts_are_right():
    for size in SIZES:
        fields = size_fields(size)
        assert table_row(size) == [str(fields[name]) for name in ("d_model", "n_layers", "n_heads", "n_ctx", "d_mlp")]
    tiny = [count_parameters(load_preset(name, "tiny").replace(d_vocab=65)) for name in PRESET_NAMES]
    full = [count_parameters(load_preset(name, "full")) for name in PRESET_NAMES]
    assert table_row("parameters at size tiny, 65 characters") == [f"{count:,}" for count in tiny]
    assert table_row("parameters at size full, own vocabulary") == [f"{count:,}" for count in full]


def test_the_import_table_is_what_the_test_enforces():
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \|[^|]*\|([^|]*)\|", page.split("\n## ")[1], re.MULTILINE)
    assert {folder: set(re.findall(r"`(\w+)`", allowed)) for folder, allowed in rows} == {
        folder: allowed for folder, (allowed, _) in RULES.items()
    }


def test_every_setting_that_a_table_of_the_readme_names_has_its_field():
    for words in re.findall(r"`(n_ctx|d_\w+)`", README):
        assert words == "d_head" or words in load_preset("gpt2").to_dict(), words


# --- commands -----------------------------------------------------------------------------------------------------


@pytest.fixture
def clone(tmp_path, monkeypatch) -> Iterator[Path]:
    """A folder in which the commands find training.txt and leave their runs."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "training.txt").write_bytes((ROOT / "training.txt").read_bytes()[:200_000])
    yield tmp_path


def test_the_commands_of_the_readme_run_one_after_the_other(clone, monkeypatch, capsys):
    """In this process, because starting Python and torch for each would take minutes; trainings made small."""
    ran = set()
    for line in commands(README):
        words = shlex.split(line.removeprefix("uv run "))
        match words:
            case ["train.py", *flags]:
                less_text = [] if "tokens/story" in flags else ["--data_size", "60k"]  # these tokens are all there is
                assert train.main([*flags] if "--run" in flags else [*flags, *SMALL, *less_text]) == 0, line
            case ["infer.py", *flags]:
                assert infer.main([*flags, "--device", "cpu"]) == 0, line
            case ["python", "-m", "runs", "label" | "race" | "scale" | "compare" as action, *flags]:
                with monkeypatch.context() as patch:
                    patch.setattr("runs.launch.launch", lambda run: None)
                    assert runs_command.main([action, *flags]) == 0, line
            case ["python", "-m", "runs", action, *run]:
                # The run of the README is finished here: it has no worker to ask.
                expected = 0 if action in ("list", "delete") else 2
                assert runs_command.main([action, *run]) == expected, line
            case ["python", "-m", "interpret", *questions]:
                assert interpret_command.main(questions) == 0, line
            case ["python", "-m", "text.storyteller", *flags]:
                monkeypatch.setattr(sys, "argv", ["storyteller", *flags, "--megabytes", "0.01"])
                storyteller.main()
                assert Path("more.txt").stat().st_size > 9_000
            case ["python", "-m", "text.prepare", *flags]:
                assert prepare.main(flags) == 0, line
            case ["python", "-m", "interop.hugging_face", *flags]:
                assert hugging_face.main(flags) == 0, line
            case ["python", "-m", "text", *flags]:
                assert command_line.main("python -m text", flags) == 0, line
            case ["python", "-m", module, *_] if module.startswith("examples."):
                assert (ROOT / f"{module.replace('.', '/')}.py").exists(), line  # run by the next test
            case ["python", "-c", program, ">", "requirements.txt"]:
                told = child("-c", program, cwd=ROOT).stdout
                assert "torch~=" in told and "pytest" in told
            case ["pip" | "python", *_]:
                assert "install" in line or "streamlit" in line, line
                continue
            case _:
                raise AssertionError(f"no way to run this command is known here: {line}")
        ran.add(words[0] if words[0] != "python" else words[2])
    assert {"train.py", "infer.py", "runs", "text", "text.prepare", "text.storyteller", "examples.own_loop"} <= ran
    assert "The king" in capsys.readouterr().out


def test_the_examples_run_one_after_the_other(clone):
    trained = child("-m", "examples.train_a_model", "3", cwd=clone)
    assert trained.returncode == 0, trained.stderr
    assert "step_00000003" in trained.stdout
    (count,) = re.findall(r"token_embedding\s+([\d,]+) parameters", trained.stdout)
    assert count == "8,320"  # 65 characters of width 128

    loop = child("-m", "examples.own_loop", "41", cwd=clone)
    losses = [float(loss) for loss in re.findall(r"train loss ([\d.]+) nats", loop.stdout)]
    assert losses[-1] < losses[0] - 1, loop.stdout + loop.stderr

    text = child("-m", "examples.generate_text", "from-python", "The king", cwd=clone)
    assert "The king" in text.stdout and "had a probability of" in text.stdout, text.stderr

    inside = child("-m", "examples.look_inside", "from-python", "The king", cwd=clone)
    assert "blocks.0.attention.qkv_proj.weight" in inside.stdout, inside.stderr
    assert float(re.findall(r"differ by at most (\S+)", inside.stdout)[0]) < 1e-4
    rows = [[float(weight) for weight in row.split()] for row in re.findall(r" \| (.*)", inside.stdout)]
    assert len(rows) == len("The king")
    for query, row in enumerate(rows):  # a causal pattern, and not the mask alone
        assert sum(row) == pytest.approx(1, abs=0.05) and not any(row[query + 1 :])
    assert len(set(rows[-1])) > 1


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_examples_are_short_and_in_the_readme(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) < 40
    assert any(f"examples.{path.stem}" in line.split() for line in commands(README))


# --- the recipe ---------------------------------------------------------------------------------------------------


def apply_recipe(source: Path) -> None:
    """Do what docs/adding_a_component.md says, in a copy of the source. What is there already is left alone."""
    for name, language, content in re.findall(r"`([\w./]+)`:\n\n```(python|diff)\n(.*?)^```$", RECIPE, re.M | re.S):
        path = source / name
        if language == "python":
            path.write_text(content, encoding="utf-8")
            continue
        lines = content.splitlines(keepends=True)
        before = "".join(line[1:] for line in lines if not line.startswith("+"))
        after = "".join(line[1:] for line in lines if not line.startswith("-"))
        text = path.read_text(encoding="utf-8")
        if after not in text:
            assert text.count(before) == 1, f"{name} no longer has these lines:\n{before}"
            path.write_text(text.replace(before, after), encoding="utf-8")


def test_the_recipe_for_a_component_works(tmp_path):
    source = tmp_path / "copy"
    skipped = shutil.ignore_patterns("__pycache__", ".*", "checkpoints")
    shutil.copytree(ROOT, source, ignore=skipped)
    for hidden in (".ci", ".streamlit"):  # of the hidden folders these two alone are in the tree
        shutil.copytree(ROOT / hidden, source / hidden)
    shutil.copy(ROOT / ".pre-commit-config.yaml", source)
    apply_recipe(source)

    of_the_component = "bilinear or tree or (imports and components)"
    tests = ["tests/components/test_contract.py", "tests/test_imports.py", "tests/docs/test_docs.py"]
    checked = child(
        "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", of_the_component, *tests, cwd=source, source=source
    )
    assert checked.returncode == 0, checked.stdout[-3000:]
    assert int(re.findall(r"(\d+) passed", checked.stdout)[0]) >= 15

    program = (
        "import torch; from components.model import build_model; from config.presets import load_preset;"
        "from config.sizes import count_parameters; from ui.drawing import draw;"
        "config = load_preset('gpt2').replace(mlp='bilinear', d_vocab=65); model = build_model(config);"
        "assert sum(p.numel() for p in model.parameters()) == count_parameters(config);"
        "mlp = model.blocks[0].mlp; [torch.nn.init.zeros_(p) for p in mlp.parameters()];"
        "mlp.up_proj.weight.data[0, 0] = mlp.down_proj.weight.data[0, 0] = 1.0;"
        "mlp.up_proj.weight.data[config.d_mlp, 0] = 2.0;"
        "x = torch.zeros(1, 2, 128); x[0, :, 0] = torch.tensor([3.0, -3.0]);"
        "assert mlp(x)[0, :, 0].tolist() == [18.0, 18.0]; print('drawn' if 'Bilinear' in draw(config) else 'not drawn')"
    )
    built = child("-c", program, cwd=source, source=source)
    assert built.stdout == "drawn\n", built.stderr

    flags = shlex.split(next(line for line in commands(RECIPE) if "train.py" in line).removeprefix("uv run train.py "))
    trained = child("train.py", *flags, *SMALL, "--data_size", "60k", cwd=source, source=source)
    assert trained.returncode == 0, trained.stderr

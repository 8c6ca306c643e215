"""Who may load what: light imports stay light, heavy libraries stay behind their doors (DESIGN section 5).

Each measurement is a fresh interpreter's own CPU time, the best of three, so a busy machine does not decide.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[2]
MODELS = ("productshot/adapters/", "productshot/render/", "productshot/pocket/", "productshot/doctor.py")
DOORS: dict[str, tuple[str, ...]] = {
    "prefect": (),
    "flows": ("productshot/cli.py",),
    "boto3": ("productshot/s3.py",),
    "rembg": ("productshot/cutout.py",),
    "torch": MODELS,
    "diffusers": MODELS,
    "peft": MODELS,
    "transformers": MODELS,
}
HEAVY = {"torch", "rembg", "boto3", "diffusers", "transformers", "peft", "numba"}
REPEATS = 3


def fresh(code: str, repeats: int = REPEATS) -> tuple[set[str], float]:
    """Loaded top-level modules and the number that `spent` holds after `code`, the smallest of some runs."""
    tail = (
        "\nimport json, sys\nprint(json.dumps([sorted({n.partition('.')[0] for n in sys.modules}), spent]))"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", f"import time\n{code}{tail}"], capture_output=True, text=True, check=True
        )
        for _ in range(repeats)
    ]
    told = [json.loads(run.stdout.splitlines()[-1]) for run in runs]
    return set(told[0][0]), min(spent for _, spent in told)


def test_library_imports_nothing_heavy() -> None:
    """`import productshot` and its command line load no model library, no boto3 and no Prefect, within a second."""
    loaded, spent = fresh("import productshot, productshot.cli\nspent = time.process_time()")
    assert loaded & (HEAVY | {"prefect"}) == set()
    assert spent < 1


def test_help_is_quick() -> None:
    """`productshot --help` takes less than a second, the interpreter's own start included."""
    code = (
        "import sys\nfrom productshot.cli import main\nsys.argv = ['productshot', '--help']\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\nspent = time.process_time()"
    )
    loaded, spent = fresh(code)
    assert loaded & (HEAVY | {"prefect"}) == set()
    assert spent < 1


def test_flows_add_little_to_prefect() -> None:
    """The flows load nothing heavy and add at most 0.3 s to what `from prefect import flow, task` costs."""
    code = (
        "from prefect import flow, task\nbegan = time.process_time()\n"
        "import flows.catalog_nightly, flows.chunk, flows.sweeper, flows.report, flows.review_batch, flows.single_sku\n"
        "spent = time.process_time() - began"
    )
    loaded, spent = fresh(code)
    assert loaded & HEAVY == set()
    assert spent <= 0.3


def test_night_loads_no_model_library() -> None:
    """What a night needs to know before there is work loads neither torch nor Prefect."""
    code = "import productshot.night, productshot.plan, productshot.report\nspent = 0"
    loaded, _ = fresh(code, repeats=1)
    assert loaded & (HEAVY | {"prefect"}) == set()


def imports_of(path: Path) -> set[str]:
    """Top-level names that a source file imports, wherever in the file."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


@pytest.mark.parametrize("name", DOORS)
def test_one_door_each(name: str) -> None:
    """A heavy library is imported behind its own door only."""
    sources = sorted((HOUSE / "productshot").rglob("*.py")) + sorted(
        (HOUSE / "catalog_schemas").rglob("*.py")
    )
    found = {path.relative_to(HOUSE).as_posix() for path in sources if name in imports_of(path)}
    assert {path for path in found if not path.startswith(DOORS[name])} == set()

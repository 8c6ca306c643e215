"""gc and purge: what goes, what stays whatever happens, and that a night afterwards is boring."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from productshot.catalog import load_catalog
from productshot.cli import main
from productshot.errors import InputRefused, StorageUnavailable
from productshot.folder import FolderStore
from productshot.gc import Collected, collect
from productshot.keys import shard_of
from productshot.ledger import Ledger
from productshot.progress import silent
from productshot.purge import purge
from productshot.report import Written
from productshot.run import run_night
from productshot.store import Listed
from tests.conftest import put_photo, tree_of, write_catalog

DAY = 24 * 3600
COLOURS = [(190, 40, 35), (20, 120, 60), (40, 70, 160), (150, 90, 20)]
ONE_NIGHT: dict[str, Any] = {"night": {"keep_nights": 1, "max_unpublished": 1}}
ONLY_MUG = [{"sku": "mug-1", "noun": "mug"}]


def night(root: Path, **fields: Any) -> Written:
    """A night over the catalog, which keeps one night in gc unless told otherwise."""
    path = write_catalog(root.parent / "catalog.yaml", **{**ONE_NIGHT, **fields})
    return run_night(load_catalog(path), FolderStore(root), silent, redo=True)


def gc(root: Path, apply: bool = True, days: float = 10, store: FolderStore | None = None) -> Collected:
    """gc over the last catalog, as if `days` had passed."""
    catalog = load_catalog(root.parent / "catalog.yaml")
    return collect(catalog, store or FolderStore(root), time.time() + days * DAY, apply)


@pytest.fixture(scope="module")
def three_nights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in which the photo of mug-1 changed twice: of three pictures slots.json knows two."""
    root = tmp_path_factory.mktemp("aged") / "store"
    put_photo(root, "vase-2", colour=COLOURS[2], side=750)
    for colour in COLOURS[:3]:
        put_photo(root, "mug-1", colour=colour, side=750)
        night(root)
    return root


@pytest.fixture
def aged(three_nights: Path, tmp_path: Path) -> Path:
    """A copy of that store, its catalog beside it."""
    shutil.copytree(three_nights.parent, tmp_path, dirs_exist_ok=True)
    return tmp_path / "store"


def made(written: Written) -> int:
    return sum(stage["made"] for stage in written.report["stages"])


def keys(root: Path) -> set[str]:
    return set(tree_of(root, "work", "catalog"))


def broken_lineage(root: Path) -> Iterator[str]:
    """What a manifest of a file in any slots.json promises and the store lacks."""
    for slots in (root / "catalog").glob("*/*/slots.json"):
        said = json.loads(slots.read_text())
        for key in [
            key for one in (said["slots"], said["previous"] or {}) for k in one.values() for key in k
        ]:
            if not (root / key).is_file():
                yield key
                continue
            manifest = json.loads((root / f"{key}.json").read_text())
            sku, cutout, render = said["sku"], manifest["cutout"], manifest["render"]
            promised = [
                f"work/{sku}/cutouts/{cutout['key']}.json",
                f"work/{sku}/cutouts/{cutout['digest']}.png",
                f"work/{sku}/renders/{render['key']}.json",
            ]
            yield from (one for one in promised if not (root / one).is_file())


def test_a_fresh_store_has_nothing_to_collect(root: Path) -> None:
    """After one night everything is reached, and being asked changes no byte."""
    night(root)
    before = tree_of(root, "work", "catalog", "state")
    assert gc(root).as_json()["count"] == 0
    assert tree_of(root, "work", "catalog", "state") == before


def test_what_two_changed_photos_left_behind_goes(aged: Path) -> None:
    """Shown, shown before and reached stays; the picture before those goes with its cutout and its markers."""
    told = gc(aged).as_json()
    counts = {kind: one["count"] for kind, one in told["kinds"].items()}
    assert counts == {
        "markers": 4,
        "cutouts": 1,
        "assets": 2,
    }  # photo, cutout, render, asset; jpg and its manifest
    assert told["skus"] == {"mug-1": 7} and told["left_alone"] == {}
    assert list(broken_lineage(aged)) == []
    assert made(night(aged)) == 0


def test_without_apply_nothing_goes(aged: Path) -> None:
    """The same is told, and the store stays as it is."""
    before = tree_of(aged, "work", "catalog", "state", "nights")
    assert gc(aged, apply=False).as_json()["count"] == 7
    assert tree_of(aged, "work", "catalog", "state", "nights") == before


def test_the_last_nights_are_kept(root: Path) -> None:
    """With two nights to keep, what the last but one showed stays, though slots.json has forgotten it."""
    for colour in COLOURS:
        put_photo(root, "mug-1", colour=colour, side=750)
        night(root, night={"keep_nights": 3})
    assert gc(root, apply=False).as_json()["skus"] == {"mug-1": 7}
    night(root, night={"keep_nights": 9})
    assert gc(root, apply=False).as_json()["count"] == 0


def test_the_young_stay(aged: Path) -> None:
    """What was written within keep_hours is never told, nor what it was made from."""
    assert gc(aged, days=0.5).as_json()["count"] == 0


def test_a_sku_with_work_to_do_is_left_alone(root: Path) -> None:
    """A changed photo waits for its night; the other SKU's leavings go."""
    for colour in COLOURS[:3]:
        put_photo(root, "mug-1", colour=colour, side=750)
        put_photo(root, "vase-2", colour=colour)
        night(root)
    put_photo(root, "mug-1", colour=COLOURS[3])
    told = gc(root).as_json()
    assert set(told["skus"]) == {"vase-2"}
    assert "run a night first" in told["left_alone"]["mug-1"]


def test_a_sku_whose_photos_are_missing_is_left_alone(root: Path) -> None:
    """An empty folder may be a failed upload: nothing of the SKU goes."""
    night(root)
    for path in (root / "photos/mug-1").iterdir():
        path.unlink()
    before = keys(root)
    assert "mug-1" in gc(root).left_alone
    assert keys(root) == before


def test_another_catalogs_sku_is_left_alone(root: Path) -> None:
    """Two catalogs share a store: gc of one touches nothing of the other."""
    for colour in COLOURS[:3]:
        put_photo(root, "vase-2", colour=colour)
        night(root, catalog="summer")
    night(root, skus=ONLY_MUG, catalog="winter")
    before = keys(root)
    assert "another catalog" in gc(root).left_alone["vase-2"]
    assert keys(root) == before


def test_a_departed_sku_keeps_what_a_rollback_needs(root: Path) -> None:
    """Still shown: left alone. Taken down: what slots.json remembers stays with its lineage."""
    for colour in COLOURS[:3]:
        put_photo(root, "vase-2", colour=colour)
        night(root)
    write_catalog(root.parent / "catalog.yaml", skus=ONLY_MUG, **ONE_NIGHT)
    assert "still shown" in gc(root).left_alone["vase-2"]
    night(root, skus=ONLY_MUG)
    assert gc(root).as_json()["skus"] == {"vase-2": 14}
    assert list(broken_lineage(root)) == []
    night(root)
    assert any(json.loads((root / "catalog/google/vase-2/slots.json").read_text())["slots"].values())


def test_an_orphan_goes_when_it_is_old(root: Path) -> None:
    """Data whose marker never came is what a killed night leaves."""
    night(root)
    orphan = f"work/mug-1/cutouts/{'0' * 64}.png"
    FolderStore(root).put(orphan, b"torn", "image/png")
    assert gc(root, days=0.5).as_json()["count"] == 0
    assert gc(root).as_json()["kinds"] == {"cutouts": {"count": 1, "bytes": 4}}
    assert not (root / orphan).exists()


def test_a_marker_without_its_data_is_mended(root: Path) -> None:
    """It would stop every night that adopts it; gc takes it away and the next night makes the picture again."""
    night(root)
    before = tree_of(root, "catalog")
    (png,) = (root / "work/mug-1/cutouts").glob("*.png")
    png.unlink()
    assert gc(root).as_json()["kinds"].keys() == {"markers"}
    assert made(night(root)) == 1
    assert png.is_file() and tree_of(root, "catalog") == before


class Meddler(FolderStore):
    """A folder in which something happens right after a SKU was listed for the first time."""

    def __init__(self, root: Path, act: Any) -> None:
        super().__init__(root)
        self._act = act

    def list(self, prefix: str) -> Iterator[Listed]:
        found = list(super().list(prefix))
        if prefix == "work/mug-1/" and self._act is not None:
            act, self._act = self._act, None
            act()
        return iter(found)


def test_a_sku_that_changes_while_gc_looks_is_left_alone(aged: Path) -> None:
    """A night that writes an orphan's bytes again, under a marker of its own, loses nothing."""
    going = keys(aged) - reached_by_a_dry_run(aged)
    doomed = min(key for key in going if key.startswith("work/mug-1/") and key.endswith(".png"))
    data = (aged / doomed).read_bytes()
    before = keys(aged)
    meddler = Meddler(aged, lambda: FolderStore(aged).put(doomed, data, "image/png"))
    assert gc(aged, store=meddler).left_alone == {"mug-1": "changed while gc looked: the next run sees"}
    assert keys(aged) == before


def reached_by_a_dry_run(aged: Path) -> set[str]:
    """What stays when gc runs in a copy of the store."""
    copy = FolderStore(aged.parent / "copy")
    for key, data in tree_of(aged, "photos", "work", "catalog", "nights").items():
        copy.put(key, data, "")
    catalog = load_catalog(aged.parent / "catalog.yaml")
    (aged.parent / "copy" / "state").mkdir(exist_ok=True)
    collect(catalog, copy, time.time() + 10 * DAY, apply=True)
    return keys(aged.parent / "copy")


def test_a_shard_written_by_an_older_night_is_not_believed(aged: Path) -> None:
    """The night that began before gc writes its shard after: the next one asks the store, and makes it anew."""
    shard = aged / f"state/{shard_of('mug-1')}.jsonl.zst"
    stale = shard.read_bytes()
    gc(aged)
    shard.write_bytes(stale)
    put_photo(aged, "mug-1", colour=COLOURS[0], side=750)
    assert made(night(aged)) == 4
    assert list(broken_lineage(aged)) == []


def test_no_shard_claims_what_is_gone(aged: Path) -> None:
    """Every marker that a shard holds is in the store."""
    gc(aged)
    ledger = Ledger(FolderStore(aged))
    ledger.load_state(["mug-1", "vase-2"])
    claimed = {name for names in ledger.markers_by_sku().values() for name in names}
    assert claimed == {key for key in keys(aged) if key.startswith("work/") and key.endswith(".json")}


class Dying(FolderStore):
    """A folder that goes away after some deletions."""

    def __init__(self, aged: Path, after: int) -> None:
        super().__init__(aged)
        self.left = after

    def delete(self, key: str) -> None:
        if self.left == 0:
            raise StorageUnavailable("store", "went away")
        self.left -= 1
        super().delete(key)


@pytest.mark.parametrize("after", range(7))
def test_killed_in_the_middle_and_run_again_ends_the_same(aged: Path, after: int) -> None:
    """Whatever was deleted before the end came, a night in between and the second gc find a sound store."""
    wanted = reached_by_a_dry_run(aged)
    with pytest.raises(StorageUnavailable):
        gc(aged, store=Dying(aged, after))
    assert list(broken_lineage(aged)) == []
    assert made(night(aged)) == 0
    gc(aged)
    assert keys(aged) == wanted


def test_a_report_that_cannot_be_read_stops_gc(root: Path) -> None:
    """What it reached would go: the line names it."""
    written = night(root)
    (root / written.json_key).write_text("[]")
    with pytest.raises(InputRefused, match=r"nights/.*/report.json is no report of a night"):
        gc(root)


def test_a_broken_slots_file_stops_gc(root: Path) -> None:
    """What it shows would go: the line names it."""
    night(root)
    (root / "catalog/google/mug-1/slots.json").write_text("{}")
    with pytest.raises(InputRefused, match="catalog/google/mug-1/slots.json is no slots.json"):
        gc(root)


ACTIONS = st.lists(
    st.tuples(st.sampled_from(["mug-1", "vase-2"]), st.sampled_from(["photo", "more", "recipe", "rollback"])),
    min_size=1,
    max_size=4,
)


@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
@given(actions=ACTIONS, nights=st.integers(1, 3))
@example(actions=[("mug-1", "photo"), ("mug-1", "photo")], nights=3)
def test_after_any_history_gc_is_boring(
    tmp_path_factory: pytest.TempPathFactory, actions: Sequence[tuple[str, str]], nights: int
) -> None:
    """After nights over any changes: gc, nights that make nothing, gc, another such night, a gc that finds nothing.

    The second one takes what only nights of the changes showed, of which none is among the last now; all lineage
    resolves.
    """
    root = tmp_path_factory.mktemp("shop") / "store"
    put_photo(root, "mug-1", side=750)
    put_photo(root, "vase-2", colour=COLOURS[2], side=750)
    fields: dict[str, Any] = {"night": {"keep_nights": nights}}
    night(root, **fields)
    for step, (sku, action) in enumerate(actions, 1):
        if action == "photo":
            put_photo(root, sku, colour=COLOURS[step % 4], side=750)
        elif action == "more":
            put_photo(root, sku, name=f"side{step}", colour=COLOURS[step % 4], side=750, shift=10)
        elif action == "recipe":
            fields["recipes"] = {"photos": {"min_side_px": 300 + step}}
        else:
            _roll_back(root, sku)
        night(root, **fields)
    shown = tree_of(root, "catalog")
    gc(root)
    assert list(broken_lineage(root)) == []
    for _ in range(nights):
        assert made(night(root, **fields)) == 0
    gc(root)
    assert list(broken_lineage(root)) == []
    assert made(night(root, **fields)) == 0
    assert {key: shown[key] for key in tree_of(root, "catalog")} == tree_of(root, "catalog")
    assert gc(root).as_json()["count"] == 0


def _roll_back(root: Path, sku: str) -> None:
    path = root / f"catalog/google/{sku}/slots.json"
    said = json.loads(path.read_text())
    if said["previous"]:
        path.write_text(json.dumps({**said, "slots": said["previous"], "previous": said["slots"]}))


# -- purge ---------------------------------------------------------------------------------------------------


def test_purge_takes_a_sku_away_and_leaves_its_neighbour(root: Path) -> None:
    """Nothing made of it is left, nor a page that shows it; photos stay, and the other SKU's night is boring."""
    written = night(root)
    thumbs = {asset["thumb"] for sku in written.report["skus"] for asset in sku["assets"]}
    path = root.parent / "catalog.yaml"
    purge(load_catalog(path), FolderStore(root), "mug-1", time.time(), apply=True)
    left = tree_of(root, "photos", "work", "catalog", "review", "nights")
    assert {key for key in left if "/mug-1/" in key} == {
        "photos/mug-1/front.jpg",
        "photos/mug-1/front.mask.png",
    }
    assert written.html_key not in left and len(thumbs & set(left)) == 1
    assert made(night(root, skus=[{"sku": "vase-2", "noun": "vase"}])) == 0


def test_purge_with_photos_leaves_no_key_of_the_sku(root: Path) -> None:
    """Asked for, the shop's photos go too."""
    night(root)
    catalog = load_catalog(root.parent / "catalog.yaml")
    purge(catalog, FolderStore(root), "mug-1", time.time(), apply=True, with_photos=True)
    assert [one.key for one in FolderStore(root).list("") if "mug-1/" in one.key] == []


def test_purge_of_a_sku_does_not_touch_one_with_a_longer_name(root: Path) -> None:
    """mug-1 is no beginning of mug-10."""
    put_photo(root, "mug-10", colour=COLOURS[1])
    skus = [*ONLY_MUG, {"sku": "mug-10", "noun": "mug"}]
    night(root, skus=skus)
    before = tree_of(root, "work/mug-10", "catalog/google/mug-10")
    purge(load_catalog(root.parent / "catalog.yaml"), FolderStore(root), "mug-1", time.time(), apply=True)
    assert tree_of(root, "work/mug-10", "catalog/google/mug-10") == before


@pytest.mark.parametrize("name", ["", "..", "mug-1/../vase-2", "*"])
def test_purge_refuses_what_is_no_sku(root: Path, name: str) -> None:
    """An empty or wild name must not mean everything."""
    night(root)
    before = keys(root)
    with pytest.raises(InputRefused, match="is not a usable name"):
        purge(load_catalog(root.parent / "catalog.yaml"), FolderStore(root), name, time.time(), apply=True)
    assert keys(root) == before


@pytest.mark.parametrize("after", [0, 1, 6])
def test_a_killed_purge_shows_nothing_and_goes_on(root: Path, after: int) -> None:
    """slots.json goes first; the same call again ends it."""
    night(root)
    catalog = load_catalog(root.parent / "catalog.yaml")
    with pytest.raises(StorageUnavailable):
        purge(catalog, Dying(root, after), "mug-1", time.time(), apply=True)
    assert (root / "catalog/google/mug-1/slots.json").exists() == (after == 0)
    purge(catalog, FolderStore(root), "mug-1", time.time(), apply=True)
    assert {key for key in tree_of(root, "work", "catalog") if "/mug-1/" in key} == set()
    assert made(night(root)) == 4


# -- the command ---------------------------------------------------------------------------------------------


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The exit code of a command."""
    monkeypatch.setattr("sys.argv", ["productshot", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    return int(end.value.code or 0)


def test_the_command_tells_and_then_deletes(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line a kind and the sum; --json the same as one document."""
    for colour in COLOURS[:3]:
        put_photo(root, "mug-1", colour=colour, side=750)
        night(root, night={"keep_nights": 1, "keep_hours": 0})
    where = [str(root.parent / "catalog.yaml"), "--store", str(root)]
    assert run(monkeypatch, "gc", *where) == 0
    assert "7 objects, " in (told := capsys.readouterr().out) and "can go (--apply deletes)" in told
    assert run(monkeypatch, "gc", *where, "--apply", "--json") == 0
    assert json.loads(capsys.readouterr().out)["applied"] is True
    assert run(monkeypatch, "gc", *where, "--json") == 0
    assert json.loads(capsys.readouterr().out)["count"] == 0


def test_the_command_says_that_a_purged_sku_comes_again(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """While the catalog lists it, the next night makes it; a bad name is exit code 2."""
    night(root)
    where = [str(root.parent / "catalog.yaml"), "--store", str(root)]
    assert run(monkeypatch, "gc", *where, "--purge", "mug-1", "--apply") == 0
    assert "the next night makes it again" in capsys.readouterr().err
    assert run(monkeypatch, "gc", *where, "--purge", "../x") == 2
    assert run(monkeypatch, "gc", *where, "--with-photos") == 2


@pytest.mark.slow
def test_painted_pictures_are_reached(root: Path) -> None:
    """Adapters, plates, gates and fallbacks of a night with all three lanes: all reached, the next night is boring."""
    recipes = {
        "adapters": {"steps": 3, "batch": 2, "prior_images": 1, "look_every": 0},
        "renders": {"steps": 2},
        "gates": {"max_missing": 1, "max_expansion": 50, "max_delta_e": 100, "max_draw_delta_e": 100},
    }
    fields = {
        "scenes": ["white-packshot", "wooden-table", "sandy-beach"],
        "recipes": recipes,
        "skus": ONLY_MUG,
    }
    night(root, **fields)
    stages = {key.split("/")[2] for key in keys(root) if key.startswith("work/")}
    assert stages == {"photos", "cutouts", "adapters", "renders", "gates", "assets"}
    told = gc(root).as_json()
    assert (told["count"], told["left_alone"]) == (0, {})
    assert made(night(root, **fields)) == 0

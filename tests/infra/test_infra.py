"""What infra/ says, checked by the tools that a package registry carries, and held against the code.

Nothing of it runs here: infra/README.md says what was checked by what.
"""

from __future__ import annotations

import ast
import copy
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from productshot.catalog import load_catalog
from productshot.folder import FolderStore
from productshot.gc import collect
from productshot.listen import KnownSkus, Receiver
from productshot.night import Night
from productshot.progress import silent
from productshot.purge import purge
from productshot.run import run_night
from productshot.store import Listed
from tests.conftest import put_photo, write_catalog
from tests.unit.test_events import body, record

HOUSE = Path(__file__).parents[2]
INFRA = HOUSE / "infra"
DOCKERFILES = sorted((INFRA / "docker").glob("*.Dockerfile"))
REASON = "the development tools are not installed: run make setup"


# -- prefect.yaml --------------------------------------------------------------------------------------------


def deployments() -> list[dict[str, Any]]:
    told: dict[str, Any] = yaml.safe_load((HOUSE / "flows" / "prefect.yaml").read_text("utf-8"))
    found: list[dict[str, Any]] = told["deployments"]
    return found


def flows_in(path: Path) -> Iterator[tuple[str, str]]:
    """(function, flow name) of every @flow in a source file."""
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            for call in node.decorator_list:
                if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "flow":
                    names = [word.value for word in call.keywords if word.arg == "name"]
                    yield node.name, ast.literal_eval(names[0])


def test_every_flow_has_one_deployment() -> None:
    """Each @flow under flows/ is the entrypoint of exactly one deployment."""
    entrypoints = [one["entrypoint"] for one in deployments()]
    assert len(entrypoints) == len(set(entrypoints))
    found = {
        f"{path.relative_to(HOUSE).as_posix()}:{function}"
        for path in sorted((HOUSE / "flows").glob("*.py"))
        for function, _ in flows_in(path)
    }
    assert found and found <= set(entrypoints)


@pytest.mark.parametrize("one", deployments(), ids=lambda one: str(one["entrypoint"]).rsplit(":", 1)[-1])
def test_an_entrypoint_is_a_flow(one: dict[str, Any]) -> None:
    """A file that is there has a flow of that function, named as the function with hyphens."""
    file, function = one["entrypoint"].split(":")
    if not (HOUSE / file).exists():
        pytest.skip(f"{file} is not built yet")
    assert dict(flows_in(HOUSE / file))[function] == function.replace("_", "-")


def test_pools_and_queues_are_those_that_the_script_makes() -> None:
    """prefect.yaml names no queue that pools.sh does not make."""
    made = set(re.findall(r"^queue (\S+) (\S+) \d+$", (INFRA / "pools.sh").read_text("utf-8"), re.MULTILINE))
    used = {(one["work_pool"]["name"], one["work_pool"]["work_queue_name"]) for one in deployments()}
    assert used == made


# -- images and compose --------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda file: file.stem)
def test_dockerfiles_pass_hadolint(file: Path) -> None:
    """No rule of hadolint is broken."""
    tool = shutil.which("hadolint", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if tool is None:
        pytest.skip(REASON)
    ended = subprocess.run([tool, file], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "")


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda file: file.stem)
def test_images_do_not_run_as_root(file: Path) -> None:
    """The last USER is another, and what COPY takes is there and is not shut out by .dockerignore."""
    lines = file.read_text("utf-8").splitlines()
    assert [line for line in lines if line.startswith("USER ")][-1:] == ["USER 10001"]
    let_in = {line[1:] for line in (HOUSE / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = [word for line in lines if line.startswith("COPY ") for word in line.split()[1:-1]]
    assert copied and all((HOUSE / word).exists() and word in let_in for word in copied)


def test_images_have_the_versions_of_the_project() -> None:
    """torch and Prefect are pinned twice: in pyproject.toml and where an image installs them first."""
    pins = (HOUSE / "pyproject.toml").read_text("utf-8")
    for file in DOCKERFILES:
        for name, version in re.findall(r"\b(torch|prefect)==([\w.]+)", file.read_text("utf-8")):
            assert f'"{name}=={version}"' in pins


def compose(set_to: str | None = None) -> dict[str, Any]:
    """The file after YAML's merges; with `set_to`, variables without a default have that value."""
    text = (INFRA / "compose.yaml").read_text("utf-8")
    if set_to is not None:
        text = re.sub(r"\$\{\w+:\?[^}]*\}", set_to, text)
        text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)
        assert "${" not in text
    told: dict[str, Any] = yaml.safe_load(text)
    return told


def test_compose_follows_the_specification() -> None:
    """Parsed by an implementation of the Compose Specification, after YAML's merges and with all variables set."""
    tool = pytest.importorskip("compose_spec", reason=REASON)
    parsed = tool.PyCompose.from_yaml(yaml.safe_dump(compose(set_to="./value")))
    assert parsed.get_service("gpu-worker") is not None
    with pytest.raises(Exception, match="restrat"):
        tool.PyCompose.from_yaml(yaml.safe_dump({"services": {"a": {"image": "a", "restrat": "always"}}}))


def test_compose_has_the_server_settings_that_keep_every_record() -> None:
    """Redis as broker, cache, ordering, leases and docket; recorder batches; vacuum; no telemetry."""
    server = compose()["services"]["server"]["environment"]
    redis = {value for value in server.values() if "redis" in str(value)}
    assert {"prefect_redis.messaging", "prefect_redis.ordering", "prefect_redis.lease_storage"} <= redis
    assert server["PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE"] == "200"
    assert server["PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE"] == "200"
    assert server["PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED"] == "events,flow_runs"
    assert server["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"


def test_compose_names_no_secret_and_every_variable_is_explained() -> None:
    """Passwords come from the environment without a default; .env.example has each variable that must be set."""
    text = (INFRA / "compose.yaml").read_text("utf-8")
    needed = set(re.findall(r"\$\{(\w+):\?", text))
    assert {name for name in needed if "SECRET" in name or "PASSWORD" in name or name == "PREFECT_AUTH"}
    assert not re.search(r"\$\{\w*(SECRET|PASSWORD|AUTH)\w*:-", text)
    example = (INFRA / ".env.example").read_text("utf-8")
    assert needed <= set(re.findall(r"^(\w+)=", example, re.MULTILINE))


def test_compose_settings_are_prefects() -> None:
    """Each PREFECT_ name is one that the installed Prefect knows, or prefect-redis's own."""
    from prefect.settings.legacy import _get_settings_fields
    from prefect.settings.models.root import Settings

    known = set(_get_settings_fields(Settings))
    known |= {alias for field in known for alias in [field]}
    for service in compose()["services"].values():
        names = {name for name in service.get("environment", {}) if name.startswith("PREFECT_")}
        assert {name for name in names if not name.startswith("PREFECT_REDIS_")} <= known


# -- Kubernetes ----------------------------------------------------------------------------------------------


def template(kind: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((INFRA / f"kubernetes/{kind}-job-template.json").read_text("utf-8"))
    return told


def filled(value: Any, values: dict[str, Any]) -> Any:
    """A template with its variables' values; what is None falls away, as in a Prefect worker."""
    if isinstance(value, dict):
        pairs = {key: filled(one, values) for key, one in value.items()}
        return {key: one for key, one in pairs.items() if one is not None}
    if isinstance(value, list):
        return [filled(one, values) for one in value]
    if isinstance(value, str) and (name := re.fullmatch(r"\{\{ (\w+) \}\}", value)):
        return copy.deepcopy(values[name[1]])
    if isinstance(value, str):
        return re.sub(r"\{\{ (\w+) \}\}", lambda found: str(values[found[1]]), value)
    return value


def manifest(kind: str) -> dict[str, Any]:
    """The Job that a worker would make, without what Prefect itself adds or takes away."""
    told = template(kind)
    values = {name: one["default"] for name, one in told["variables"]["properties"].items()}
    values |= {"name": "night-1", "command": ["python", "-m", "prefect.engine"]}
    values["env"] = [{"name": name, "value": value} for name, value in values["env"].items()]
    job: dict[str, Any] = filled(told["job_configuration"]["job_manifest"], values)
    pod = job["spec"]["template"]["spec"]
    assert (pod.pop("parallelism"), pod.pop("completions")) == (
        1,
        1,
    )  # Prefect wants them here; Kubernetes has none
    return job


@pytest.mark.parametrize("kind", ["cpu", "gpu"])
def test_job_templates_make_valid_jobs(kind: str) -> None:
    """Against the JSON schemas of Kubernetes, unknown fields refused."""
    tool = pytest.importorskip("kubernetes_validate", reason=REASON)
    tool.validate(manifest(kind), tool.latest_version(), strict=True)
    wrong = manifest(kind)
    wrong["spec"]["template"]["spec"]["terminationGracePeriodSecond"] = 1
    with pytest.raises(tool.ValidationError):
        tool.validate(wrong, tool.latest_version(), strict=True)


@pytest.mark.parametrize("kind", ["cpu", "gpu"])
def test_every_variable_is_used_and_declared(kind: str) -> None:
    """A misspelt one would stay as text in the manifest."""
    told = template(kind)
    used = set(re.findall(r"\{\{ (\w+) \}\}", json.dumps(told["job_configuration"])))
    assert used == set(told["variables"]["properties"])


@pytest.mark.parametrize(("kind", "least_s"), [("cpu", 60), ("gpu", 120)])
def test_jobs_end_gently(kind: str, least_s: int) -> None:
    """Time between SIGTERM and SIGKILL, no eviction by the autoscaler, no retry behind the sweeper's back, no root."""
    spec = manifest(kind)["spec"]
    pod = spec["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] >= least_s
    assert spec["template"]["metadata"]["annotations"] == {
        "cluster-autoscaler.kubernetes.io/safe-to-evict": "false"
    }
    assert (spec["backoffLimit"], pod["restartPolicy"]) == (0, "Never")
    assert pod["securityContext"]["runAsNonRoot"]
    limits = pod["containers"][0]["resources"]["limits"]
    assert limits.get("nvidia.com/gpu") == (1 if kind == "gpu" else None)


# -- Terraform -----------------------------------------------------------------------------------------------


def terraform() -> dict[str, list[Any]]:
    """All blocks of all files, by kind, without the parser's quotes."""
    hcl2 = pytest.importorskip("hcl2", reason=REASON)
    found: dict[str, list[Any]] = {}
    for file in sorted((INFRA / "terraform").glob("*.tf")):
        with open(file, encoding="utf-8") as source:
            for kind, blocks in unquoted(hcl2.load(source)).items():
                found.setdefault(kind, []).extend(blocks)
    return found


def unquoted(value: Any) -> Any:
    """Strings and names as they are meant."""
    if isinstance(value, dict):
        return {key.strip('"'): unquoted(one) for key, one in value.items() if not key.startswith("__")}
    if isinstance(value, list):
        return [unquoted(one) for one in value]
    return value.strip('"') if isinstance(value, str) else value


def resource(kind: str, name: str, blocks: str = "resource") -> dict[str, Any]:
    """The one block of a kind and name."""
    (found,) = [one[kind][name] for one in terraform()[blocks] if name in one.get(kind, {})]
    body: dict[str, Any] = found
    return body


def test_references_lead_somewhere() -> None:
    """Each var, local and resource that a file names is declared."""
    blocks = terraform()
    declared = {f"var.{name}" for one in blocks["variable"] for name in one}
    declared |= {f"local.{name}" for one in blocks["locals"] for name in one}
    for kind, prefix in (("resource", ""), ("data", "data.")):
        declared |= {
            f"{prefix}{type_}.{name}" for one in blocks[kind] for type_ in one for name in one[type_]
        }
    text = "".join(file.read_text("utf-8") for file in sorted((INFRA / "terraform").glob("*.tf")))
    text = re.sub(r"^\s*#.*$", "", text, flags=re.MULTILINE)
    used = set(re.findall(r"(?<![\w.])(?:var|local)\.\w+|(?:data\.)?(?<![\w])aws_\w+\.\w+", text))
    assert used and used <= declared


def test_only_reports_and_unfinished_uploads_end_by_age() -> None:
    """No lifecycle rule expires anything but nights/."""
    rules = resource("aws_s3_bucket_lifecycle_configuration", "store")["rule"]
    expiring = [one["filter"][0]["prefix"] for one in rules if "expiration" in one]
    assert expiring == ["${var.prefix}nights/"]
    assert [one["id"] for one in rules if "abort_incomplete_multipart_upload" in one] == [
        "unfinished-uploads"
    ]
    known = {"id", "status", "filter", "expiration", "abort_incomplete_multipart_upload"}
    assert all(set(one) <= known for one in rules)


def test_only_photos_are_notified() -> None:
    """The queue hears of photos that come and go, from this bucket alone."""
    queue = resource("aws_s3_bucket_notification", "photos")["queue"][0]
    assert queue["filter_prefix"] == "${var.prefix}${var.photos}"
    assert queue["events"] == ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]
    conditions = resource("aws_iam_policy_document", "queue", "data")["statement"][0]["condition"]
    assert {one["variable"] for one in conditions} == {"aws:SourceArn", "aws:SourceAccount"}


def roles() -> dict[str, dict[str, list[str]]]:
    """Role -> right -> prefixes, with the default prefix of photos."""
    (told,) = [one["roles"] for one in terraform()["locals"]]
    return {
        role: {
            right: [one.replace("${local.photos}", "photos/") for one in ones]
            for right, ones in rights.items()
        }
        for role, rights in told.items()
        if isinstance(rights, dict)
    }


def test_no_role_touches_photos_and_only_gc_deletes_outputs() -> None:
    """And no policy has a wildcard action."""
    for role, rights in roles().items():
        assert not any(
            "photos/".startswith(one) or one.startswith("photos/")
            for one in rights["write"] + rights["delete"]
        )
        outputs = {one for one in rights["delete"] if not one.startswith((".probe/", "state/waiting/"))}
        assert (role == "gc") == bool(outputs)
    actions = [
        action
        for one in terraform()["data"]
        for document in one.get("aws_iam_policy_document", {}).values()
        for statement in document["statement"]
        for action in statement["actions"]
    ]
    assert len(actions) > 8 and not any("*" in action for action in actions)


class Watched(FolderStore):
    """A folder that notes which right each call needs on S3."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.needed: set[tuple[str, str]] = set()

    @property
    def location(self) -> str:
        return "s3://shop/here"

    def get(self, key: str) -> bytes:
        self.needed.add(("read", key))
        return super().get(key)

    def head(self, key: str) -> Listed | None:
        self.needed.add(("read", key))
        return super().head(key)

    def put(self, key: str, data: bytes, content_type: str) -> None:
        self.needed.add(("write", key))
        super().put(key, data, content_type)

    def create(self, key: str, data: bytes, content_type: str) -> bool:
        self.needed.add(("write", key))
        return super().create(key, data, content_type)

    def delete(self, key: str) -> None:
        self.needed.add(("delete", key))
        super().delete(key)

    def list(self, prefix: str) -> Iterator[Listed]:
        self.needed.add(("list", prefix))
        return super().list(prefix)

    def list_prefixes(self, prefix: str) -> Iterator[str]:
        self.needed.add(("list", prefix))
        return super().list_prefixes(prefix)


def lacking(store: Watched, role: str) -> set[tuple[str, str]]:
    """What a process needed and its role does not give; its notes are cleared."""
    rights = roles()[role]
    needed, store.needed = store.needed, set()
    return {(right, key) for right, key in needed if not key.startswith(tuple(rights[right]))}


def test_whoever_opens_a_night_may_read_its_scribbles(tmp_path: Path) -> None:
    """A scene's drawing is read before anything is painted, by workers and by gc."""
    store = Watched(tmp_path / "store")
    (tmp_path / "store/scribbles").mkdir(parents=True)
    sheet = Image.new("L", (64, 64), 255)
    sheet.paste(0, (0, 40, 64, 44))
    sheet.save(tmp_path / "store/scribbles/table.png")
    scene = {
        "name": "table",
        "scene_prompt": "a table",
        "control": "scribble",
        "scribble": "scribbles/table.png",
    }
    catalog = load_catalog(write_catalog(tmp_path / "catalog.yaml", scenes=[scene]))
    for role in ("cpu", "gpu", "gc"):
        with Night(catalog, store, silent) as night:
            assert "table" in night.scribbles
        assert ("read", "scribbles/table.png") in store.needed
        assert lacking(store, role) == set()


def test_each_process_needs_no_more_than_its_role_gives(tmp_path: Path) -> None:
    """Nights, the receiver, gc and a take-down, watched: every call is within a prefix of the role."""
    store = Watched(tmp_path / "store")
    path = write_catalog(tmp_path / "catalog.yaml", night={"keep_nights": 1, "settle_seconds": 0})
    for colour in ((190, 40, 35), (20, 120, 60), (40, 70, 160)):
        put_photo(tmp_path / "store", "mug-1", colour=colour, side=750)
        run_night(load_catalog(path), store, silent)
    assert lacking(store, "cpu") == set()
    receiver = Receiver(KnownSkus(path), store, lambda sku, key: None, time.monotonic)
    receiver.resume()
    receiver.take(body(record("here/photos/mug-1/front.jpg")))
    receiver.act()
    assert lacking(store, "listen") == set()
    told = collect(load_catalog(path), store, time.time() + 10 * 24 * 3600, apply=True)
    purge(load_catalog(path), store, "mug-1", time.time(), apply=True)
    assert told.as_json()["count"] and any(right == "delete" for right, _ in store.needed)
    assert lacking(store, "gc") == set()

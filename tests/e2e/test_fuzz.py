"""A load of bad resources against a real API server and the operator's real process: refused in a sentence, or handled.

The namespace's quota has no room for a pod, as an administrator might have set it, so nothing starts and the machine is calm.
ASSAY_TEST_EXAMPLES is the number of examples, 2,000 where it is not set; they are the same in every run.
"""

import json
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import MaxRetryError

import fuzzing
from assay.api.base import GROUP, VERSION, Manifest
from assay.sandbox.layout import Layout
from e2e.process import Operator, Place
from flights.shop import ShopError, until
from modeldeployments import written

MANY = int(os.environ.get("ASSAY_TEST_EXAMPLES", "2000"))
BATCH = 250  # examples between two looks at the operator
USUAL = [
    f"fuzzed-{number}" for number in range(16)
]  # exist all the time, and are updated, patched, spoilt and made anew
THREADS = 8
LAG = 30.0  # seconds that the oldest due object may have waited, on two busy cores
QUIET = 60.0  # seconds until the queue is empty after a batch
CANARY = "canary"
DEEP = 9000  # levels of a template; the API server takes up to 10,000, Python's json module less than 1,000 unless told
REFUSALS = {400, 409, 422, 500}
LARGEST = 3 * 1024 * 1024  # bytes of a request; the API server hangs up on a longer one while it is being sent


@dataclass(frozen=True)
class Deed:
    """What somebody does to one of the resources."""

    verb: str
    name: str
    spec: Any = None
    status: Any = None


@st.composite
def deeds(draw: st.DrawFn, known: Manifest, revisions: list[str]) -> Deed:
    """A create, an update, a patch, a spoilt status or, rarely, a deletion; all but creates meet what is there."""
    verb = draw(st.sampled_from(["create"] * 10 + ["replace"] * 10 + ["patch"] * 8 + ["status"] * 12 + ["delete"]))
    name = draw(fuzzing.names() if verb == "create" else st.sampled_from(USUAL))
    if verb == "status":
        return Deed(verb, name, status=draw(fuzzing.statuses(known, revisions)))
    return Deed(verb, name, spec=None if verb == "delete" else draw(fuzzing.specs()))


def drawn(count: int, known: Manifest, revisions: list[str]) -> list[Deed]:
    """Return so many examples, the same in every run."""
    found: list[Deed] = []

    @given(deed=deeds(known, revisions))
    @settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    def draw(deed: Deed) -> None:
        found.append(deed)

    draw()
    return found


@dataclass
class Load:
    """The API server, and what it answered."""

    objects: client.CustomObjectsApi
    namespace: str
    answers: Counter[str] = field(default_factory=Counter)
    refusals: list[tuple[Deed, int, str]] = field(default_factory=list)

    def do(self, deed: Deed) -> None:
        """Do it; keep the answer."""
        where = (GROUP, VERSION, self.namespace, "modeldeployments")
        body = {"apiVersion": f"{GROUP}/{VERSION}", "kind": "ModelDeployment", "metadata": {"name": deed.name}}
        try:
            match deed.verb:
                case "create":
                    self.objects.create_namespaced_custom_object(*where, {**body, "spec": deed.spec})
                case "replace":
                    now = cast("Manifest", self.objects.get_namespaced_custom_object(*where, deed.name))
                    self.objects.replace_namespaced_custom_object(*where, deed.name, {**now, "spec": deed.spec})
                case "patch":
                    self.objects.patch_namespaced_custom_object(*where, deed.name, {"spec": deed.spec})
                case "status":
                    patch = {"status": deed.status}
                    self.objects.patch_namespaced_custom_object_status(*where, deed.name, patch)
                case _:
                    self.objects.delete_namespaced_custom_object(*where, deed.name)
        except ApiException as error:
            answer = json.loads(error.body or "{}")
            self.answers[f"{deed.verb} {error.status}"] += 1
            if error.status != 404 and answer.get("reason") not in ("AlreadyExists", "Conflict"):
                self.refusals.append((deed, int(error.status or 0), str(answer.get("message"))))
        except MaxRetryError:
            if len(json.dumps([deed.spec, deed.status])) < LARGEST:
                raise
            self.answers[f"{deed.verb} too large"] += 1
        else:
            self.answers[f"{deed.verb} taken"] += 1

    def all(self) -> list[Manifest]:
        """Return what there is now."""
        found = self.objects.list_namespaced_custom_object(GROUP, VERSION, self.namespace, "modeldeployments")
        items: list[Manifest] = cast("Manifest", found)["items"]
        return items

    def unseen(self) -> list[Any]:
        """Return what the operator has not observed: metadata and conditions."""
        return [(one["metadata"], one.get("status", {}).get("conditions")) for one in self.all() if not observed(one)]

    def make_up(self) -> None:
        """Make those of the usual resources that were deleted anew, so that what is done to them meets something."""
        there = {one["metadata"]["name"] for one in self.all()}
        for name in USUAL:
            if name not in there:
                self.do(Deed("create", name, spec=written()["spec"]))


class Watched:
    """The operator, and whether it is well."""

    def __init__(self, operator: Operator) -> None:
        self.operator = operator
        self.pid = operator.process.pid
        self.lags: list[float] = []

    def gauge(self, name: str) -> float:
        page = self.operator.get("/metrics") or ""
        (value,) = re.findall(rf"^{name} (\S+)$", page, re.MULTILINE)
        return float(value)

    def is_well(self) -> None:
        """Assert that it is the same process, that it lives, and that no round has met a bug."""
        assert self.operator.process.poll() is None
        assert self.operator.process.pid == self.pid
        assert self.operator.get("/healthz") is not None
        assert 'outcome="InternalError"' not in (self.operator.get("/metrics") or "")
        self.lags.append(self.gauge("assay_operator_queue_lag_seconds"))
        assert self.lags[-1] < LAG

    def is_quiet(self) -> bool:
        self.is_well()
        return self.gauge("assay_operator_queue_depth") == 0


def raw(namespace: str, name: str, **spec: Any) -> Manifest:
    manifest = written(name, traffic={"router": {"replicas": 1}}, **spec)
    manifest["metadata"]["namespace"] = namespace
    return manifest


def observed(one: Manifest) -> bool:
    """Return whether the operator has seen the spec; in a status of a newer release it may write conditions alone."""
    generation = one["metadata"]["generation"]
    return generation in (one.get("status", {}).get("observedGeneration"), stalled(one).get("observedGeneration"))


def stalled(one: Manifest) -> dict[str, str]:
    """Return why a resource is stalled, empty where it is not."""
    conditions = {each["type"]: each for each in one.get("status", {}).get("conditions", [])}
    found: dict[str, str] = conditions.get("Stalled", {})
    return found if found.get("status") == "True" else {}


@pytest.fixture
def load(place: Place, sandbox: Layout) -> Iterator[Load]:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "no-pods"},
        "spec": {"hard": {"pods": "0"}},
    }
    place.kubectl("apply", "-f", "-", given=json.dumps(quota))
    api = config.new_client_from_config(str(sandbox.kubeconfig))  # type: ignore[no-untyped-call]
    api.configuration.connection_pool_maxsize = THREADS
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(4 * DEEP)  # the test lists the deep one too
    yield Load(client.CustomObjectsApi(api), place.namespace)
    sys.setrecursionlimit(limit)
    api.close()
    place.kubectl("delete", "modeldeployments", "--all")  # whoever lists them all would have to read the deep one


def deep(namespace: str) -> str:
    """Return a resource whose template is nested deeper than Python's own json module reads."""
    manifest = raw(namespace, "deep")
    manifest["spec"]["template"]["spec"]["x"] = "@"
    return json.dumps(manifest).replace('"@"', '{"a":' * DEEP + "1" + "}" * DEEP)


def test_a_load_of_bad_resources_is_refused_in_a_sentence_or_handled(
    place: Place, operator: Operator, load: Load, capsys: pytest.CaptureFixture[str]
) -> None:
    started = time.monotonic()
    watched = Watched(operator)
    place.kubectl("create", "--validate=false", "-f", "-", given=deep(place.namespace))
    place.kubectl("apply", "-f", "-", given=json.dumps(raw(place.namespace, CANARY)))
    until(lambda: observed(place.read(name=CANARY)), "the canary is observed")
    known = place.read(name=CANARY)["status"]
    revisions = [one.rsplit("-", 1)[1] for one in place.names("controllerrevision")]

    examples = drawn(MANY, known, revisions)
    assert len(examples) == MANY
    for first in range(0, len(examples), BATCH):
        load.make_up()
        with ThreadPoolExecutor(THREADS) as threads:
            list(threads.map(load.do, examples[first : first + BATCH]))
        watched.is_well()
        version = f"{first}"
        place.kubectl(
            "patch",
            "modeldeployment",
            CANARY,
            "--type=merge",
            "-p",
            json.dumps({"spec": {"model": {"version": version}}}),
        )
        until(lambda: observed(place.read(name=CANARY)), "the canary is reconciled meanwhile", QUIET)
    until(watched.is_quiet, "the queue is empty", QUIET)
    with suppress(ShopError):  # the assertion that follows says more
        until(lambda: not load.unseen(), "every resource is observed", QUIET)
    assert load.unseen() == []
    watched.is_well()

    told = [(one["metadata"]["name"], stalled(one)) for one in load.all() if stalled(one)]
    assert not [
        one for one in told if one[1]["reason"] == "InternalError" or not fuzzing.is_a_sentence(one[1]["message"])
    ]
    # What is too large as a whole is not read, so that no field can be named.
    read = [one for one in load.refusals if one[1] != HTTPStatus.REQUEST_ENTITY_TOO_LARGE]
    assert not [one for one in read if one[1] not in REFUSALS or not fuzzing.is_a_sentence(one[2])]
    assert "Traceback" not in operator.said()
    taken = sum(count for answer, count in load.answers.items() if answer.endswith("taken"))
    assert taken > MANY / 5, "most of a load that is refused would test the API server, not the operator"
    with capsys.disabled():
        seconds = time.monotonic() - started
        sys.stderr.write(
            f"... {len(examples)} examples in {seconds:.0f} s: {dict(load.answers)}; greatest lag {max(watched.lags):.1f} s\n"
        )

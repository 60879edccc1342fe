"""What could anybody write into a resource? Strategies that are read from the schemas in crds/, not typed by hand.

    schema ──> fitting ──> a value within its bounds, and at them
                  └──> mutated ──> the same with a few places spoilt: types, lengths, nulls, duplicates, unknown fields

hypothesis-jsonschema would draw what fits, but its last release (0.23.1, 2024) does not run with today's Hypothesis; and
what is wanted here is mostly what does not fit, with the patterns that stand in CEL rules.
"""

import copy
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import yaml
from hypothesis import strategies as st

from drawing import model_deployments
from modeldeployments import TEMPLATE, written

Manifest: TypeAlias = dict[str, Any]
Schema: TypeAlias = dict[str, Any]
Place: TypeAlias = tuple[str | int, ...]

CRDS = Path(__file__).parents[1] / "crds"
MATCHES = re.compile(r"self\.matches\('(.*)'\)")
MANY = 10_000  # items of a list, characters of a text: far beyond every bound of ours, and still less than a request may be
HUNDRED = 100  # of what may be large by itself
DEEP = 80  # levels; how the operator takes thousands of them is a test of its own, for Python's json module cannot write them
TEXTS = ("", "a", "errors", "flights", "NaN", "null", "-1", "1e400", "0x10", "٣", "é" * 20, "\u0000", "a\nb", "☃", "{}")
TIMES = (
    "2013-01-01T05:15:00Z",
    "2013-01-01T05:15:00.123Z",
    "1000-01-01T00:00:00Z",
    "2999-12-31T23:59:59.999999999Z",
    "0000-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
    "2013-13-41T25:61:61Z",
)
FLOATS = (0.0, 1.0, -1.0, 0.5, 1e-300, 1e308, -1e308, 1e17, 100.0, 20.0)
HOSTILE: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 101, 65_536, 2**31, 2**53, 2**63 - 1, 2**63, -(2**63), 10**30, 0.5, 1e308, -1e-300),
    *("", "0", "1", "-1", "NaN", "Infinity", "1e1", "1e400", "0.1 ", " 0.1", "0.1\n", "0x1", "٣", "true", "null", "☃"),
    *("a" * 64, "a" * 254, "é" * 1025, "x" * MANY, "a/b", "..", "A", "a_b", "-a", "\u0000", "$(ASSAY_REVISION)"),
    *([], {}, [None], [[]], [{}], {"": ""}, {"a": None}, [0] * MANY, [{}] * MANY, ["a"] * 33, {"name": "a"}),
)
"""What is wrong nearly everywhere."""

TEMPLATES: tuple[Manifest, ...] = (
    {"ports": [{"containerPort": 0}]},
    {"ports": [{"containerPort": 65_536}]},
    {"ports": [{"containerPort": "http"}]},
    {"ports": [{"containerPort": 9090}]},
    {"ports": [{"containerPort": 8080}, {"containerPort": 8080}]},
    {"ports": "8080"},
    {"imagee": "flights:1"},
    {"image": ""},
    {"image": 5},
    {"env": [{"name": "A"}, {"name": "A"}]},
    {"env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "absent", "key": "a"}}}]},
    {"env": [{"name": "ASSAY_REVISION", "value": "mine"}]},
    {"envFrom": [{"configMapRef": {"name": "not/a name"}}]},
    {"resources": {"requests": {"cpu": "-1"}}},
    {"resources": {"limits": {"memory": "NaN"}}},
    {"readinessProbe": {"httpGet": {"path": "/", "port": 0}}},
    {"volumeMounts": [{"name": "absent", "mountPath": "/a"}]},
    {"securityContext": "none"},
)
"""Fields of a container that our schema keeps as they are written, and that no Deployment can have, or no pod can start with."""


def schema(part: str) -> Schema:
    """Return the schema of `spec` or `status`, as the API server has it."""
    (path,) = CRDS.glob("*_modeldeployments.yaml")
    (version,) = yaml.safe_load(path.read_text())["spec"]["versions"]
    found: Schema = version["schema"]["openAPIV3Schema"]["properties"][part]
    return found


SPEC, STATUS = schema("spec"), schema("status")
TIMES_SPOILT = st.sampled_from([1, 1, 1, 2, 3])

# --- what fits ---


_BUILT: dict[int, st.SearchStrategy[Any]] = {}  # by the identity of the schema, which lives as long as this module
EIGHT = st.integers(0, 7)
ONE_IN_FOUR, ONE_IN_TEN = (st.integers(0, most).map(lambda drawn: drawn == 0) for most in (3, 9))


def fitting(of: Schema) -> st.SearchStrategy[Any]:
    """Values that this schema accepts, often at its bounds; rules between fields are broken now and then."""
    if id(of) not in _BUILT:
        _BUILT[id(of)] = _fitting(of)
    return _BUILT[id(of)]


def _fitting(of: Schema) -> st.SearchStrategy[Any]:
    if "enum" in of:
        return st.sampled_from(of["enum"])
    build = {"object": _objects, "array": _lists, "string": _texts, "integer": _integers, "number": _numbers}
    if of.get("type") == "boolean":
        return st.booleans()
    return build[of["type"]](of) if "type" in of else st.sampled_from(HOSTILE)


def _integers(of: Schema) -> st.SearchStrategy[int]:
    low, high = of.get("minimum", -(2**63)), of.get("maximum", 2**63 - 1)
    return st.sampled_from([low, high, min(low + 1, high)]) | st.integers(low, high)


def _numbers(_of: Schema) -> st.SearchStrategy[float]:
    return st.sampled_from(FLOATS) | st.floats(allow_nan=False, allow_infinity=False)


def _objects(of: Schema) -> st.SearchStrategy[Manifest]:
    fields, required = of.get("properties", {}), of.get("required", ())
    right = st.fixed_dictionaries(
        {name: fitting(one) for name, one in fields.items() if name in required},
        optional={name: fitting(one) for name, one in fields.items() if name not in required},
    )
    if isinstance(of.get("additionalProperties"), dict):
        keys = st.sampled_from(["a", "verdict", "_x", "pod", "a-b", "a" * 129, ""])
        return st.dictionaries(keys, fitting(of["additionalProperties"]), max_size=3)
    if of.get("x-kubernetes-preserve-unknown-fields"):
        more = st.sampled_from([{}, {}, {}, *TEMPLATES])
        return st.tuples(right, more).map(lambda drawn: drawn[0] | drawn[1])
    return right


def _lists(of: Schema) -> st.SearchStrategy[list[Any]]:
    least, most = of.get("minItems", 0), of.get("maxItems", MANY)
    keys = of.get("x-kubernetes-list-map-keys", ())

    def full(drawn: tuple[list[Any], bool]) -> list[Any]:
        items, filled = drawn
        items = (items * most)[: min(most, HUNDRED)] if filled else items
        for key in keys:
            items = list({one[key]: one for one in items}.values())
        return items

    few = st.lists(fitting(of["items"]), min_size=least, max_size=min(most, least + 2))
    return st.tuples(few, ONE_IN_TEN).map(full)


def _texts(of: Schema) -> st.SearchStrategy[str]:
    least, most = of.get("minLength", 0), of.get("maxLength", MANY)
    if of.get("format") == "date-time":
        return st.sampled_from(TIMES)
    pattern = of.get("pattern") or next(
        (found[1] for rule in of.get("x-kubernetes-validations", ()) if (found := MATCHES.fullmatch(rule["rule"]))),
        None,
    )
    if pattern is not None:
        bare = pattern.removeprefix("^").removesuffix("$")
        return st.from_regex(bare, fullmatch=True, alphabet=st.characters(codec="ascii")).map(lambda text: text[:most])
    bounds = ["a" * least, "a" * min(most, MANY), "☃" * min(most, MANY)]
    return st.sampled_from([*bounds, *(text for text in TEXTS if least <= len(text) <= most)])


# --- what does not fit ---


def places(value: object, at: Place = ()) -> Iterator[Place]:
    """Yield where something stands in a value, itself left out."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in entries:
        yield (*at, key)
        yield from places(one, (*at, key))


def _holder(value: Any, place: Place) -> Any:
    """Return the object or list in which a place is."""
    for part in place[:-1]:
        value = value[part]
    return value


def schema_at(of: Schema, place: Sequence[str | int]) -> Schema | None:
    """Return the schema of a place, where there is one."""
    for part in place:
        more = of.get("additionalProperties")
        inner = of.get("items") if isinstance(part, int) else of.get("properties", {}).get(part, more)
        if not isinstance(inner, dict):
            return None
        of = inner
    return of


@st.composite
def mutated(draw: st.DrawFn, value: Any, of: Schema, *, fits: bool = False) -> Any:
    """The value with up to three places changed: to what fits there too where `fits`, else to what mostly does not."""
    value = copy.deepcopy(value)
    for _ in range(draw(TIMES_SPOILT)):
        found = list(places(value))
        if not found:
            break
        place = draw(st.sampled_from(found))
        holder, last = _holder(value, place), place[-1]
        inner = schema_at(of, place)
        if inner is not None and (fits or draw(ONE_IN_FOUR)):
            holder[last] = copy.deepcopy(draw(fitting(inner)))
        elif not fits:
            _spoil(draw, holder, last)
    return value


def _spoil(draw: st.DrawFn, holder: Any, last: Any) -> None:
    """Change what stands in one place of an object or a list."""
    was = holder[last]
    match draw(EIGHT):
        case 0:
            del holder[last]
        case 1 if isinstance(holder, dict):
            holder[draw(st.sampled_from(["unknown", "", "a" * 300, "Replicas", "☃"]))] = was
        case 1:
            holder.append(copy.deepcopy(was))
        case 2 if isinstance(was, str):
            near = (f"{was} ", f"-{was}", was.upper(), f"{was}\n", was + "é", was * 50, was[:-1])
            holder[last] = draw(st.sampled_from(near))
        case 2 if isinstance(was, int):
            holder[last] = draw(st.sampled_from([-was, was + 1, was - 1, str(was), was + 0.5, [was]]))
        case 2 if isinstance(was, list):
            holder[last] = (was * HUNDRED)[:HUNDRED]
        case 3:
            for _ in range(DEEP):
                was = {"a": was}
            holder[last] = was
        case _:
            holder[last] = copy.deepcopy(draw(st.sampled_from(HOSTILE)))


# --- what users write ---


def _parts(of: Schema) -> st.SearchStrategy[Manifest]:
    """One field drawn anew; or none."""
    return st.one_of(
        [
            st.just({}),
            *(
                st.builds(lambda value, name=name: {name: value}, fitting(one))
                for name, one in of["properties"].items()
            ),
        ]
    )


AROUND_THE_RULES, BAD_CONTAINERS = model_deployments(), st.sampled_from(TEMPLATES)
PARTS_OF_SPEC, PARTS_OF_STATUS = _parts(SPEC), _parts(STATUS)


@st.composite
def names(draw: st.DrawFn) -> str:
    """Names of resources, mostly right, at the limits and a little beyond."""
    right = draw(st.from_regex("[a-z][a-z0-9]{0,11}", fullmatch=True))
    wrong = ("a" * 52, "a" * 53, "a" * 253, "a" * 254, "1a", "a.b", "a-", "A", "a_b", "", "é", "a b", "a-stable")
    return draw(st.sampled_from([right] * (4 * len(wrong)) + list(wrong)))


def specs() -> st.SearchStrategy[Any]:
    """What stands in `spec`: right with a part redrawn, around the rules, drawn as a whole, with a bad template, spoilt."""
    base = written()["spec"]
    around = AROUND_THE_RULES.map(lambda manifest: manifest["spec"])
    container = TEMPLATE["spec"]["containers"][0]
    bad = BAD_CONTAINERS.map(lambda fields: {"template": {"spec": {"containers": [container | fields]}}})
    kinds = (
        fitting(SPEC),
        around,
        around.flatmap(lambda spec: mutated(spec, SPEC)),
        bad.map(lambda part: base | part),
        PARTS_OF_SPEC.map(lambda part: base | part),
        st.tuples(bad, PARTS_OF_SPEC).map(lambda parts: base | parts[0] | parts[1]),
        mutated(base, SPEC, fits=True),
        mutated(base, SPEC),
    )
    return st.one_of(kinds)


@st.composite
def statuses(draw: st.DrawFn, known: Manifest, revisions: Sequence[str] = ()) -> Any:
    """What somebody might write into `status`; mostly the `known` one with a few places changed to what fits too.

    Args:
        known: A status that an operator has written.
        revisions: Names of revisions that exist, which somebody would rather write than any other.
    """
    found = draw(_statuses(known))
    for place in list(places(found)) if revisions else ():
        if place[-1] == "revision" and draw(ONE_IN_FOUR):
            _holder(found, place)["revision"] = draw(st.sampled_from(revisions))
    return found


def _statuses(known: Manifest) -> st.SearchStrategy[Any]:
    part = PARTS_OF_STATUS.map(lambda part: known | part)
    fits = mutated(known, STATUS, fits=True)
    return st.one_of(fitting(STATUS), mutated(known, STATUS), part, part, fits, fits, fits).map(copy.deepcopy)


# --- what may be answered ---

STACK = re.compile(r"Traceback|goroutine \d|panic:|\.py\"|\.go:\d|runtime error")
FIELD = re.compile(
    r"\b(spec|status|metadata)\b|ConfigMap|Service|Deployment|containers|template|[a-z]+[A-Z][a-z]+|\[\d+\]"
)


def is_a_sentence(message: str) -> bool:
    """Return whether a message reads as a sentence that names a field or the object to mend, and shows nobody's stack."""
    return bool(message.strip()) and FIELD.search(message) is not None and STACK.search(message) is None

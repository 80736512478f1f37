"""From YAML text to the types: line numbers kept, aliases written out within a bound, repeated keys
refused, all faults told at once.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from planner.errors import ScenarioError
from planner.scenario.sentences import near, sentence

MOST_VALUES = 100_000  # with all aliases written out; a large scenario has some thousands
_MERGE = "tag:yaml.org,2002:merge"
Built = TypeVar("Built", bound=BaseModel)


class _Loader(yaml.SafeLoader):
    """YAML without repeated keys (silently lost values)."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep=deep)
        except ValueError as error:  # a date such as 2027-02-30
            raise yaml.MarkedYAMLError(problem=str(error), problem_mark=node.start_mark) from None

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if key_node.tag == _MERGE:  # <<: *name, whose keys give way to the ones beside it
                continue
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.MarkedYAMLError(
                    problem=f"the key {key!r} must be text; quote it",
                    problem_mark=key_node.start_mark,
                )
            if key in seen:
                raise yaml.MarkedYAMLError(problem=f"the key {key!r} stands twice", problem_mark=key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


# a number without a point, or with a power without a sign, is one too (2e6, 1.5e3, as in YAML 1.2)
_POWER = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)[eE][-+]?\d+$")
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _POWER, list("-+.0123456789"))


def parse(text: str, where: str) -> tuple[Any, dict[str, int]]:
    """The parsed value and the line of each dotted path.

    Raises :class:`ScenarioError` with the line of what is no YAML, aliases that stand for more than
    ``MOST_VALUES`` values, or a key that stands twice.
    """
    loader = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None, {}
        _unfolded(node, {})
        return _apart(loader.construct_document(node)), dict(_lines(node, ""))
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise ScenarioError(f"{line}{error.problem or 'is not valid YAML'}. Mend the YAML there", where=where) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ScenarioError(f"is not valid YAML: {str(error).splitlines()[0]}. Mend the YAML", where=where) from None
    finally:
        if loader is not None:
            loader.dispose()


def _unfolded(node: yaml.Node, sizes: dict[int, float]) -> float:
    """Values that a node holds once its aliases stand for what they name. Raises
    :class:`yaml.MarkedYAMLError` for an alias within what it names, and for more values than a
    scenario has.
    """
    if id(node) not in sizes:
        sizes[id(node)] = math.inf  # until it is known: what holds an alias of itself never ends
        inner = node.value if isinstance(node, yaml.MappingNode | yaml.SequenceNode) else ()
        parts = [n for part in inner for n in (part if isinstance(part, tuple) else (part,))]
        sizes[id(node)] = 1 + sum(_unfolded(n, sizes) for n in parts)
    if sizes[id(node)] > MOST_VALUES:
        raise yaml.MarkedYAMLError(
            problem=f"aliases (*name) stand for more than {MOST_VALUES:,} values, or within what they name",
            problem_mark=node.start_mark,
        )
    return sizes[id(node)]


def _apart(value: Any) -> Any:
    """The same value with nothing in it shared, so that one place can be overridden alone."""
    if isinstance(value, dict):
        return {k: _apart(v) for k, v in value.items()}
    return [_apart(v) for v in value] if isinstance(value, list) else value


def _lines(node: yaml.Node, path: str) -> Iterator[tuple[str, int]]:
    yield path, node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = f"{path}.{key.value}" if path else str(key.value)
            yield from ((p, key.start_mark.line + 1 if p == inner else n) for p, n in _lines(value, inner))
    elif isinstance(node, yaml.SequenceNode):
        for i, value in enumerate(node.value):
            yield from _lines(value, f"{path}.{i}" if path else str(i))


def build(cls: type[Built], raw: Any, lines: Mapping[str, int], where: str, folder: Path | None) -> Built:
    """The type made of parsed YAML. Raises :class:`ScenarioError` with every fault, its path, line
    and value.
    """
    if not isinstance(raw, dict):
        raise ScenarioError(
            "must be a mapping with name, start, services, providers and regions. See data/scenarios for examples",
            where=where,
        )
    problems = [_unknown("folder", cls, lines)] if "folder" in raw else []
    try:
        built = cls.model_validate({**raw, "folder": folder})
    except ValidationError as error:
        problems += [_sentence(e, lines, cls) for e in error.errors(include_url=False)]
    if problems:
        raise ScenarioError(problems, where=where)
    return built


def _sentence(error: Any, lines: Mapping[str, int], cls: type[BaseModel]) -> str:
    path = ".".join(str(p) for p in error["loc"] if not _union_tag(p))
    if error["type"] == "extra_forbidden":
        return _unknown(path, cls, lines)
    line = next((f"line {lines[p]}: " for p in (path, path.rpartition(".")[0]) if p in lines), "")
    return f"{line}{path}{': ' * bool(path)}{sentence(error)}"


def _union_tag(part: Any) -> bool:
    return isinstance(part, str) and part in {"date", "datetime"}


def _unknown(path: str, cls: type[BaseModel], lines: Mapping[str, int]) -> str:
    parent, _, key = path.rpartition(".")
    known = sorted(set(_fields_at(cls, parent.split(".") if parent else [])) - {"folder"})
    line = f"line {lines[path]}: " if path in lines else ""
    return f"{line}{path}: is not a known key; {near(key, known)}"


def _fields_at(cls: type[BaseModel], parts: list[str]) -> Sequence[str]:
    """Field names of the model that stands at a dotted path (indices and service names are stepped
    over).
    """
    found = [cls]
    for part in parts:
        inner = (
            [f for model in found for f in _models(model.model_fields[part].annotation)]
            if all(part in model.model_fields for model in found)
            else found
        )
        found = inner or found
    return [name for model in found for name in model.model_fields]


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for a in getattr(annotation, "__args__", ()) for m in _models(a)]


def parts(dotted: str, services: Iterable[str]) -> list[str]:
    """The steps of a dotted path; names of machine types and of these ``services`` hold dots too.

    >>> parts("services.gpt-3.5.objective.ttft_p95_s", ["gpt-3.5"])
    ['services', 'gpt-3.5', 'objective', 'ttft_p95_s']
    >>> parts("limits.quota.g6.xlarge", [])
    ['limits', 'quota', 'g6.xlarge']
    """
    if dotted.startswith("limits.quota."):
        return dotted.split(".", 2)
    for name in sorted(services, key=len, reverse=True):
        if f"{dotted}.".startswith(f"services.{name}."):
            return ["services", name, *dotted.split(".")[2 + name.count(".") :]]
    return dotted.split(".")


def assign(raw: dict[str, Any], dotted: str, value: Any) -> None:
    """Set one dotted field in place. Raises :class:`ScenarioError` for an
    index that is not there.
    """
    at: Any = raw
    *parents, last = parts(dotted, raw.get("services", ()))
    for part in parents:
        if isinstance(at, list):
            at = _item(at, part, dotted)
        elif isinstance(at, dict):
            if not isinstance(at.get(part), dict | list):
                at[part] = {"file": at[part]} if part == "traffic" and isinstance(at.get(part), str) else {}
            at = at[part]
    if isinstance(at, list):
        _item(at, last, dotted)
        at[int(last)] = value
    else:
        at[last] = value


def _item(items: list[Any], part: str, dotted: str) -> Any:
    if not (part.isascii() and part.isdigit()) or int(part) >= len(items):
        raise ScenarioError(f"{dotted}: {part} is not an index below {len(items)}", where="override")
    return items[int(part)]

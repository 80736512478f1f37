"""What the commands, pages, notebooks and public names reach in the source, by the names that are read.

A function, class or method is reached where a reached body reads its name: a name that its module
defines or imports, an attribute of an imported module, or, for methods, an attribute of that name on
anything (so what is found unreached surely is; a method that shares its name with another may hide).
"""

import ast
import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

Key = tuple[str, str]  # module, name within it
BINDING = {
    "property",
    "cached_property",
    "classmethod",
    "staticmethod",
    "cache",
    "lru_cache",
    "abstractmethod",
    "wraps",
}


@dataclass
class Body:
    """Code that runs together: a module's own lines, or one function, class or method."""

    names: set[str] = field(default_factory=set)
    bare: set[str] = field(default_factory=set)  # names read for themselves, not for an attribute
    attributes: set[str] = field(default_factory=set)
    of_modules: set[tuple[str, str]] = field(default_factory=set)  # (name of the module in scope, attribute)
    imports: dict[str, Key] = field(default_factory=dict)


@dataclass
class Source:
    """Every body of a package by (module, name), and where names lead."""

    bodies: dict[Key, Body] = field(default_factory=dict)
    imports: dict[str, dict[str, Key]] = field(default_factory=lambda: defaultdict(dict))
    methods: dict[str, set[Key]] = field(default_factory=lambda: defaultdict(set))
    owned: dict[Key, set[Key]] = field(default_factory=lambda: defaultdict(set))  # by a class: run with it
    lengths: dict[Key, int] = field(default_factory=dict)

    def add_script(self, name: str, tree: ast.Module) -> None:
        """A script beside the package, all of which runs."""
        body = Body()
        _read(body, [tree])
        self.bodies[name, ""], self.imports[name] = body, body.imports


def module_of(path: Path, root: Path) -> str:
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def _decorators(node: ast.AST) -> set[str]:
    text = (re.match(r"[\w.]+", ast.unparse(d)) for d in node.decorator_list)
    return {m.group().rpartition(".")[2] for m in text if m}


def _read(body: Body, nodes) -> None:
    for top in nodes:
        held = {id(n.value) for n in ast.walk(top) if isinstance(n, ast.Attribute)}
        for node in ast.walk(top):
            if isinstance(node, ast.Name):
                body.names.add(node.id)
                if id(node) not in held:
                    body.bare.add(node.id)
            elif isinstance(node, ast.Attribute):
                body.attributes.add(node.attr)
                if isinstance(node.value, ast.Name):
                    body.of_modules.add((node.value.id, node.attr))
            elif isinstance(node, ast.AnnAssign | ast.arg) and node.annotation:
                quoted = [n.value for n in ast.walk(node.annotation) if isinstance(n, ast.Constant)]
                body.names |= set(re.findall(r"\w+", " ".join(map(str, quoted))))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                if node.value.isidentifier():
                    body.attributes.add(node.value)  # getattr, pickled and quoted names
                elif re.fullmatch(r"\w+(\.\w+)+", node.value):  # a module named in a registry
                    body.bare.add(node.value)
                    body.imports[node.value] = (node.value, "")
            elif isinstance(node, ast.ImportFrom):
                body.imports |= {a.asname or a.name: (node.module or "", a.name) for a in node.names}
            elif isinstance(node, ast.Import):
                body.imports |= {a.asname or a.name: (a.name, "") for a in node.names}


def _foreign(node: ast.ClassDef, here: dict[str, Key], package: str) -> bool:
    """A base class of another package calls methods that nobody here names."""
    bases = {ast.unparse(b).partition("[")[0].partition(".")[0] for b in node.bases}
    return any(
        here.get(b, ("", ""))[0].partition(".")[0] not in ("", package) for b in bases - {"Protocol", "NamedTuple"}
    )


def _class(source: Source, module: str, node: ast.ClassDef, package: str) -> None:
    key, rest = (module, node.name), []
    foreign = _foreign(node, source.imports[module], package)
    for item in node.body:
        if not isinstance(item, ast.FunctionDef):
            rest.append(item)
            continue
        name = (module, f"{node.name}.{item.name}")
        source.bodies[name] = Body()
        _read(source.bodies[name], [item])
        source.lengths[name] = item.end_lineno - item.lineno + 1
        if item.name.startswith("__") or foreign or _decorators(item) - BINDING:
            source.owned[key].add(name)
        else:
            source.methods[item.name].add(name)
    source.bodies[key] = Body()
    _read(source.bodies[key], [*node.bases, *node.decorator_list, *rest])
    source.lengths[key] = node.end_lineno - node.lineno + 1


def read(root: Path, package: str) -> Source:
    """All bodies of a package."""
    source = Source()
    for path in sorted((root / package).rglob("*.py")):
        module, tree = module_of(path, root), ast.parse(path.read_text(encoding="utf-8"))
        top = Body()
        _read(top, [n for n in tree.body if not isinstance(n, ast.FunctionDef | ast.ClassDef)])
        source.imports[module] |= top.imports
        source.bodies[module, ""] = top
        for node in tree.body:
            if isinstance(node, ast.FunctionDef):
                source.bodies[module, node.name] = Body()
                _read(source.bodies[module, node.name], [node])
                source.lengths[module, node.name] = node.end_lineno - node.lineno + 1
            elif isinstance(node, ast.ClassDef):
                _class(source, module, node, package)
    return source


def lead(source: Source, module: str, name: str) -> Key | None:
    """Where a name of a module is defined, through the modules that hand it on."""
    seen = set()
    while (module, name) not in source.bodies and (module, name) not in seen:
        seen.add((module, name))
        if not name:
            return None
        if (f"{module}.{name}", "") in source.bodies and name not in source.imports.get(module, {}):
            return (f"{module}.{name}", "")
        module, name = source.imports.get(module, {}).get(name, ("", ""))
    return (module, name) if (module, name) in source.bodies else None


def _next(source: Source, key: Key) -> set[Key]:
    module, body = key[0], source.bodies[key]
    here = source.imports[module] | body.imports
    found: set[Key | None] = set(source.owned[key])
    for name in body.names:
        found.add(
            (module, name) if (module, name) in source.bodies else lead(source, *here[name]) if name in here else None
        )
    for holder, attribute in body.of_modules:
        if holder in here and (to := lead(source, *here[holder])) and to[1] == "":
            found.add(lead(source, to[0], attribute))
    for attribute in body.attributes:
        found |= source.methods.get(attribute, set())
    found |= {(target, "") for target, _ in body.imports.values()}  # an import runs the module's own lines
    found |= {(target[0], "") for target in found if target}
    return {t for t in found if t in source.bodies}


def reached(source: Source, roots: set[Key]) -> set[Key]:
    """Every body that the roots reach."""
    seen, left = set(roots), list(roots)
    while left:
        for key in _next(source, left.pop()) - seen:
            seen.add(key)
            left.append(key)
    return seen


def _open_tables(source: Source) -> None:
    """A module that stands in a table or an argument: its functions are called by attribute."""
    functions = defaultdict(set)
    for module, name in source.lengths:
        functions[module] |= {name} if "." not in name else set()
    for (module, _), body in source.bodies.items():
        here = source.imports[module] | body.imports
        for name in body.bare & set(here):
            to = lead(source, *here[name])
            for function in functions[to[0]] if to and not to[1] else ():
                source.methods[function].add((to[0], function))


def unreached(source: Source, roots: set[Key]) -> dict[str, int]:
    """Lines of each function, class and method that no root reaches, the largest whole first."""
    _open_tables(source)
    live = reached(source, roots)
    dead = {k for k in source.lengths if k not in live}
    whole = {k for k in dead if (k[0], k[1].partition(".")[0]) not in dead or "." not in k[1]}
    return {f"{m}.{n}": source.lengths[m, n] for m, n in sorted(whole)}

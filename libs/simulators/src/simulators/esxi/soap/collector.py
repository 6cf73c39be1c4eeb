"""The property collector: which objects a specification selects, their properties, and what moved since.

Not here: single property values (`objects`).
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from simulators.esxi.model.host import EsxHost
from simulators.esxi.soap import objects, wire
from simulators.esxi.vmodl import fault, moid_of, property_info, vim, vmodl

query: Any = vmodl.query.PropertyCollector
PAGE_OBJECTS = 100
_tokens = itertools.count(1)


@dataclass
class View:
    """A container view: the objects of some types below a container."""

    reference: Any
    container: Any
    kinds: list[Any]
    recursive: bool

    def members(self, host: EsxHost) -> list[Any]:
        everything = list(_below(host, self.container, recursive=self.recursive))
        kinds = tuple(self.kinds)
        return [item for item in everything if not kinds or isinstance(item, kinds)]


def _below(host: EsxHost, container: Any, *, recursive: bool) -> Iterator[Any]:
    moid = moid_of(container)
    if isinstance(container, vim.Datacenter):
        children = [vim.Folder(f"ha-folder-{name}") for name in ("vm", "host", "datastore", "network")]
    elif isinstance(container, vim.ComputeResource):
        children = [vim.HostSystem("ha-host"), vim.ResourcePool("ha-root-pool")]
    elif isinstance(container, vim.Folder):
        children = objects.read_property(host, container, "childEntity")
    else:
        children = [vim.VirtualMachine(vm) for vm in host.vms] if moid in ("ha-root-pool", "ha-host") else []
    for child in children:
        yield child
        if recursive and not isinstance(child, vim.ResourcePool | vim.HostSystem):
            yield from _below(host, child, recursive=True)


def select(host: EsxHost, spec: Any) -> list[Any]:
    """Object references that a filter specification selects, each once.

    Raises:
        vmodl.fault.ManagedObjectNotFound: a starting object is gone and must be reported.
    """
    chosen: dict[tuple[str, str], Any] = {}
    for start in spec.objectSet:
        named = {item.name: item for item in _walk_specs(start.selectSet) if item.name and _is_traversal(item)}
        try:
            objects.demand(host, start.obj)
        except vmodl.fault.ManagedObjectNotFound:
            if spec.reportMissingObjectsInResults:
                continue
            raise
        _visit(host, start.obj, start.selectSet, named, chosen, skip=bool(start.skip), seen=set())
    return list(chosen.values())


def _is_traversal(spec: Any) -> bool:
    return isinstance(spec, query.TraversalSpec)


def _walk_specs(specs: list[Any]) -> Iterator[Any]:
    for spec in specs or []:
        yield spec
        if _is_traversal(spec):
            yield from _walk_specs(spec.selectSet)


def _visit(
    host: EsxHost, obj: Any, specs: list[Any], named: dict[str, Any], chosen: dict[tuple[str, str], Any],
    *, skip: bool, seen: set[tuple[str, int]],
) -> None:  # fmt: skip
    if not skip:
        chosen.setdefault((type(obj).__name__, moid_of(obj)), obj)
    for item in specs or []:
        spec = item if _is_traversal(item) else named.get(item.name)
        if spec is None:
            raise fault(vmodl.fault.InvalidArgument, f"no selection named {item.name}", invalidProperty="selectSet")
        if not isinstance(obj, spec.type) or (moid_of(obj), id(spec)) in seen:
            continue
        seen.add((moid_of(obj), id(spec)))
        value = objects.read_property(host, obj, spec.path)
        for child in value if isinstance(value, list) else [value]:
            if wire.is_reference(child):
                _visit(host, child, spec.selectSet, named, chosen, skip=bool(spec.skip), seen=seen)


def properties(host: EsxHost, obj: Any, prop_sets: list[Any]) -> dict[str, Any] | None:
    """Values by path for one object; None when no property specification is for its type.

    Raises:
        vmodl.query.InvalidProperty: a path that the type does not have.
    """
    fitting = [item for item in prop_sets if isinstance(obj, item.type)]
    if not fitting:
        return None
    paths: dict[str, None] = {}
    for item in fitting:
        listed = objects.property_names(type(obj)) if item.all else (item.pathSet or [])
        paths.update(dict.fromkeys(listed))
    return {path: objects.read_property(host, obj, path) for path in paths}


def _typed(obj: Any, path: str, value: Any) -> Any:
    """Native lists get the array type that the property declares, for a value of type Any must say what it is."""
    if not isinstance(value, list) or hasattr(value, "Item"):
        return value
    info: Any = None
    kind = type(obj)
    for part in path.split("."):
        info = property_info(kind, part.partition("[")[0])
        kind = info.type
    typed = info.type()
    typed.extend(value)
    return typed


def object_content(host: EsxHost, obj: Any, spec: Any) -> Any | None:
    """ObjectContent of one selected object, None when it is not asked for."""
    values = properties(host, obj, spec.propSet)
    if values is None:
        return None
    named = [
        vmodl.DynamicProperty(name=path, val=_typed(obj, path, value))
        for path, value in values.items()
        if value is not None
    ]
    return query.ObjectContent(obj=obj, propSet=named)


def retrieve(host: EsxHost, specs: list[Any]) -> list[Any]:
    """All contents that the specifications select."""
    found = []
    for spec in specs:
        for obj in select(host, spec):
            content = object_content(host, obj, spec)
            if content is not None:
                found.append(content)
    return found


@dataclass
class Filter:
    """A registered filter and what its reader has already been told."""

    moid: str
    spec: Any
    told: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)


@dataclass
class Collector:
    """The property collector of one session: pages not yet fetched, filters, versions."""

    pages: dict[str, list[Any]] = field(default_factory=dict)
    filters: dict[str, Filter] = field(default_factory=dict)
    version: int = 0
    cancelled: bool = False

    def first_page(self, contents: list[Any], limit: int | None) -> tuple[list[Any], str | None]:
        size = limit if limit and limit > 0 else PAGE_OBJECTS
        if len(contents) <= size:
            return contents, None
        token = str(next(_tokens))
        self.pages[token] = contents[size:]
        return contents[:size], token

    def next_page(self, token: str) -> tuple[list[Any], str | None]:
        """Raises InvalidArgument for a token that was not given out or was used."""
        rest = self.pages.pop(token, None)
        if rest is None:
            raise fault(vmodl.fault.InvalidArgument, "unknown token", invalidProperty="token")
        return self.first_page(rest, PAGE_OBJECTS)

    def updates(self, host: EsxHost, version: str) -> Any | None:
        """UpdateSet of what moved since the last answer; None when nothing did.

        Raises:
            vmodl.query.InvalidCollectorVersion: a version that was never given out.
        """
        if version == "":
            for item in self.filters.values():
                item.told = {}
        elif version != str(self.version):
            raise fault(vmodl.query.InvalidCollectorVersion, "The version is not known to this collector")
        sets = [found for item in self.filters.values() if (found := self._filter_update(host, item)) is not None]
        if not sets:
            return None
        self.version += 1
        return query.UpdateSet(version=str(self.version), filterSet=sets, truncated=False)

    @staticmethod
    def _filter_update(host: EsxHost, item: Filter) -> Any | None:
        updates, present = [], set()
        for obj in select(host, item.spec):
            values = properties(host, obj, item.spec.propSet)
            if values is None:
                continue
            key = (type(obj).__name__, moid_of(obj))
            present.add(key)
            typed = {path: _typed(obj, path, value) for path, value in values.items()}
            now = {path: wire.signature(value) for path, value in typed.items()}
            before = item.told.get(key)
            moved = [path for path in now if before is None or before.get(path) != now[path]]
            if before is not None and not moved:
                continue
            item.told[key] = now
            changes = [
                query.Change(name=path, op="assign", val=typed[path])
                for path in moved
                if typed[path] is not None or before is not None
            ]
            updates.append(query.ObjectUpdate(kind="enter" if before is None else "modify", obj=obj, changeSet=changes))
        for key in [known for known in item.told if known not in present]:
            del item.told[key]
            gone = next(kind for kind in objects.kinds() if kind.__name__ == key[0])(key[1])
            updates.append(query.ObjectUpdate(kind="leave", obj=gone))
        if not updates:
            return None
        return query.FilterUpdate(filter=query.Filter(item.moid), objectSet=updates)

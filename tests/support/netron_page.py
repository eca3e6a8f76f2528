"""Netron's own page in a headless browser: what it shows of an offline model, and what is wrong with that.

Netron is the PyPI package of that name: it serves its page and the model from this computer. Requests to other
computers (it asks for a consent there) are blocked.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ascend_mlir.runtime.om.format import BY_NAME
from ascend_mlir.runtime.om.model import OmModel
from ascend_mlir.runtime.om.profiles import OmProfiles
from browser import Tab

SECONDS = 45
"""Time for a page; a drawing of 5000 nodes takes half a minute on a quiet machine. Netron's question whether to wait for a
large layout needs no answer: the layout goes on behind it."""

SCRIPT = """
(() => {
  const tensor = (t) => t && ({type: t.type.toString(), bytes: t.values ? t.values.length : 0});
  const value = (v) => ({name: v.name, type: v.type ? v.type.toString() : '', tensor: tensor(v.initializer)});
  const list = (args) => args.map((arg) => arg.value.map(value)).flat();
  return window.__view__.model.modules.map((graph) => ({
    name: graph.name,
    nodes: graph.nodes.map((node) => ({
      name: node.name, type: node.type.name, inputs: list(node.inputs), outputs: list(node.outputs),
      attributes: Object.fromEntries(node.attributes.map((a) => [a.name, a.type || ''])),
    })),
  }));
})()
"""
DRAWN_TITLES = "[...document.querySelectorAll('.node-item-type text')].map((text) => text.textContent)"


@dataclass
class Shown:
    """What the page holds: its graphs, the titles it drew, and what the console complained about."""

    graphs: list[dict[str, Any]]
    drawn: list[str] = field(default_factory=list[str])
    complaints: list[str] = field(default_factory=list[str])


def show(tab: Tab, address: tuple[str, int], seconds: float = SECONDS) -> Shown:
    """Open the page of a Netron that serves a model, wait until it is drawn, and read it."""
    tab.events.clear()
    tab.call("Network.setBlockedURLs", urls=["https://*"])
    tab.call("Page.addScriptToEvaluateOnNewDocument", source="document.cookie = 'consent=1'")
    tab.call("Page.navigate", url=f"http://{address[0]}:{address[1]}/")
    _wait(tab, "!!(window.__view__ && window.__view__.model)", seconds)
    graphs = tab.value(SCRIPT)
    _wait(tab, "document.body.className === 'default'", seconds)
    drawn = tab.value(DRAWN_TITLES)
    complaints = [text for text in tab.complaints() if "https://" not in text]
    return Shown(graphs, drawn, complaints)


def _wait(tab: Tab, condition: str, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not tab.value(condition):
        if time.monotonic() > end:
            message = tab.value("(document.getElementById('message-text') || {}).innerText")
            raise TimeoutError(f"Netron does not show the model: {message}")
        time.sleep(0.1)


def problems(shown: Shown, model: OmModel) -> list[str]:
    """What is missing or wrong: nodes, names, shapes, weights, edges."""
    found = list(shown.complaints)
    if len(shown.graphs) != 1:
        return [*found, f"{len(shown.graphs)} graphs"]
    nodes = shown.graphs[0]["nodes"]
    if len(shown.drawn) != len(nodes):
        found.append(f"{len(shown.drawn)} boxes for {len(nodes)} nodes")
    return found + _graph(nodes, model)


def profile_problems(shown: Shown, profiles: OmProfiles) -> list[str]:
    """The same of a model of several sizes: a graph that chooses, which is drawn, and one per branch."""
    found = list(shown.complaints)
    names = [profiles.name, *(f"Batch_{number}" for number in range(len(profiles.branches)))]
    if [graph["name"] for graph in shown.graphs] != names:
        return [*found, f"graphs {[graph['name'] for graph in shown.graphs]}"]
    root = shown.graphs[0]["nodes"]
    if [node["type"] for node in root] != ["Data"] * (profiles.inputs + 1) + [
        "MapIndex",
        "Case",
        "NetOutput",
    ]:
        found.append(f"the root has {[node['type'] for node in root]}")
    if len(shown.drawn) != len(root):
        found.append(f"{len(shown.drawn)} boxes for {len(root)} nodes")
    found += _edges(root)[0]
    for number, (graph, branch) in enumerate(zip(shown.graphs[1:], profiles.branches, strict=True)):
        found += _graph(graph["nodes"], branch, f"_ascend_mbatch_batch_{number}")
    return found


def _graph(nodes: list[dict[str, Any]], model: OmModel, suffix: str = "") -> list[str]:
    found: list[str] = []
    wanted = {x.name + suffix: "Data" for x in model.inputs}
    wanted |= {op.name + suffix: op.type for op in model.graph}
    names = Counter(node["name"] for node in nodes)
    found += [f"name {name!r} stands {count} times" for name, count in names.items() if count > 1]
    types = {node["name"]: node["type"] for node in nodes if node["type"] != "NetOutput"}
    found += [
        f"node {name!r} is {types.get(name)}" for name, kind in wanted.items() if types.get(name) != kind
    ]
    found += [f"node {name!r} is not the model's" for name in set(types) - set(wanted)]
    dangling, tensors = _edges(nodes)
    plain = {name.removesuffix(suffix): tensor for name, tensor in tensors.items()}
    return found + dangling + _weights(plain, model)


def _edges(nodes: list[dict[str, Any]]) -> tuple[list[str], dict[str, dict[str, Any]]]:
    """What is wrong with the inputs of nodes, and the constants among them."""
    found: list[str] = []
    made = {value["name"] for node in nodes for value in node["outputs"]}
    tensors: dict[str, dict[str, Any]] = {}
    for node in nodes:
        for value in node["inputs"]:
            if value["tensor"] is not None:
                tensors[value["name"].rpartition(":")[0]] = value["tensor"]
            elif value["name"] not in made:
                found.append(f"{node['name']!r} reads {value['name']!r}, which dangles")
            if "?" in value["type"] or not value["type"]:
                found.append(f"{value['name']!r} has type {value['type']!r}")
    return found, tensors


def _weights(tensors: dict[str, dict[str, Any]], model: OmModel) -> list[str]:
    """Weights that some node reads: shape, type and bytes."""
    found: list[str] = []
    read = {edge.rpartition(":")[0] for op in model.graph for edge in op.inputs}
    for weight in model.weights:
        if weight.name not in read:
            continue
        tensor = tensors.get(weight.name)
        shape = f"[{','.join(map(str, weight.storage_shape))}]" if weight.storage_shape else ""
        if tensor is None:
            found.append(f"weight {weight.name!r} is missing")
        elif tensor["bytes"] != weight.size or not tensor["bytes"]:
            found.append(f"weight {weight.name!r} has {tensor['bytes']} bytes, not {weight.size}")
        elif not tensor["type"].endswith(shape) or weight.dtype not in BY_NAME:
            found.append(f"weight {weight.name!r} is {tensor['type']}, not {shape}")
    return found


def served(path: Path) -> tuple[str, int]:
    """Start Netron's server for a file; `netron.stop(address)` ends it."""
    import netron

    return netron.start(str(path), browse=False)

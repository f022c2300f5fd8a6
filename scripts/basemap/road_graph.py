"""The drivable roads of an OSM extract as a directed graph, and the quickest way through it without turning round."""

from collections import defaultdict
from dataclasses import dataclass, field
import heapq
from itertools import pairwise
import math
from pathlib import Path

from basemap.osm_layers import speed_limit
import osmium

# Limit in km/h in and outside built-up areas where none is tagged, and how willingly a route takes the road.
ROADS = {
    "motorway": (120, 120, 1.0), "motorway_link": (60, 60, 1.0), "trunk": (60, 100, 1.0), "trunk_link": (50, 60, 1.0),
    "primary": (50, 80, 1.0), "primary_link": (50, 60, 1.0), "secondary": (50, 80, 1.0),
    "secondary_link": (50, 60, 1.0), "tertiary": (50, 60, 0.9), "unclassified": (40, 50, 0.7),
    "residential": (40, 50, 0.6), "road": (30, 40, 0.3), "living_street": (20, 20, 0.3),
}  # fmt: skip
RANK = {name: rank for rank, name in enumerate(ROADS)}
CELL_DEG = 0.0015  # about 150 m: the grid on which buildings are counted
BUILT_UP_BUILDINGS = 5
TURN_ROUND_S = 300.0


@dataclass
class RoadEdge:
    """From one OSM node to the next along a way."""

    road: str
    limit_kmh: int
    length_m: float
    name: str = ""


@dataclass
class RoadGraph:
    """Places of nodes in degrees (lat, lon), edges out of each node, and nodes with traffic lights."""

    places: dict[int, tuple[float, float]] = field(default_factory=dict)
    edges: dict[int, dict[int, RoadEdge]] = field(default_factory=lambda: defaultdict(dict))
    signals: set[int] = field(default_factory=set)
    degree: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))

    def nearest(self, lat: float, lon: float, roads: tuple[str, ...]) -> int:
        """The through node nearest to a place that has an edge of one of these classes."""
        return min(
            (n for n in self.edges if len(self.edges[n]) > 1 and any(e.road in roads for e in self.edges[n].values())),
            key=lambda n: distance_m(self.places[n], (lat, lon)),
        )

    def quickest(self, start: int, end: int, came_from: int | None) -> list[int]:
        """Nodes from `start` to `end`, turning round in dead ends only."""
        first = (came_from if came_from is not None else -1, start)
        costs: dict[tuple[int, int], float] = {first: 0.0}
        parents: dict[tuple[int, int], tuple[int, int]] = {}
        queue = [(0.0, first)]
        while queue:
            cost, state = heapq.heappop(queue)
            if cost > costs[state]:
                continue
            previous, node = state
            if node == end and state != first:
                path = [node]
                while state in parents:
                    state = parents[state]
                    path.append(state[1])
                return path[::-1]
            for neighbour, edge in self.edges[node].items():
                turning_s = 0.0
                if neighbour == previous:
                    if len(self.degree[node]) > 1:
                        continue
                    turning_s = TURN_ROUND_S
                following = (node, neighbour)
                weighted = cost + turning_s + edge.length_m / (edge.limit_kmh / 3.6 * ROADS[edge.road][2])
                if weighted < costs.get(following, math.inf):
                    costs[following] = weighted
                    parents[following] = state
                    heapq.heappush(queue, (weighted, following))
        raise SystemExit(f"no way from node {start} to node {end}")


def distance_m(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Metres between two (lat, lon) a few kilometres apart."""
    north = (b[0] - a[0]) * 111_195
    east = (b[1] - a[1]) * 111_195 * math.cos(math.radians((a[0] + b[0]) / 2))
    return math.hypot(north, east)


def load(pbf: Path) -> RoadGraph:
    """Build the graph of everything a van may drive on, honouring one-way streets and access."""
    graph = RoadGraph()
    buildings: dict[tuple[int, int], int] = defaultdict(int)
    ways: list[tuple[str, dict[str, str], list[tuple[int, float, float]]]] = []
    for item in osmium.FileProcessor(str(pbf)).with_locations():
        if item.is_node() and item.tags.get("highway") in ("traffic_signals", "stop"):
            graph.signals.add(item.id)
        elif item.is_way():
            nodes = [(n.ref, n.location.lat, n.location.lon) for n in item.nodes if n.location.valid()]
            if "building" in item.tags and nodes:
                buildings[_cell(nodes[0][1], nodes[0][2])] += 1
            elif item.tags.get("highway") in ROADS and len(nodes) == len(item.nodes) and _is_open(item.tags):
                ways.append((item.tags["highway"], dict(item.tags), nodes))
    for road, tags, nodes in ways:
        _add_way(graph, road, tags, nodes, buildings)
    _keep_connected(graph)
    return graph


def _is_open(tags: osmium.osm.TagList) -> bool:
    return not any(tags.get(key) in ("no", "private") for key in ("access", "vehicle", "motor_vehicle", "motorcar"))


def _cell(lat: float, lon: float) -> tuple[int, int]:
    return int(lat / CELL_DEG), int(lon / CELL_DEG * 0.68)


def _add_way(
    graph: RoadGraph,
    road: str,
    tags: dict[str, str],
    nodes: list[tuple[int, float, float]],
    buildings: dict[tuple[int, int], int],
) -> None:
    oneway = tags.get("oneway", "")
    forward = oneway != "-1"
    backward = oneway not in ("yes", "1", "true") and tags.get("junction") != "roundabout"
    tagged = speed_limit(tags.get("maxspeed"))
    for (a, lat_a, lon_a), (b, lat_b, lon_b) in pairwise(nodes):
        graph.places[a], graph.places[b] = (lat_a, lon_a), (lat_b, lon_b)
        length_m = distance_m(graph.places[a], graph.places[b])
        if length_m == 0:
            continue
        row, column = _cell((lat_a + lat_b) / 2, (lon_a + lon_b) / 2)
        near = sum(buildings[(row + i, column + j)] for i in (-1, 0, 1) for j in (-1, 0, 1))
        limit = tagged or ROADS[road][0 if near >= BUILT_UP_BUILDINGS else 1]
        if tags.get("junction") == "roundabout":
            limit = min(limit, 30)
        edge = RoadEdge(road, limit, length_m, tags.get("name", ""))
        if forward:
            graph.edges[a][b] = edge
        if backward:
            graph.edges[b][a] = edge
        graph.degree[a].add(b)
        graph.degree[b].add(a)


def _keep_connected(graph: RoadGraph) -> None:
    """Keep the nodes from which all others can be reached and left again (the largest such set)."""
    back: dict[int, dict[int, RoadEdge]] = defaultdict(dict)
    for a, outgoing in graph.edges.items():
        for b, edge in outgoing.items():
            back[b][a] = edge
    best: set[int] = set()
    left = set(graph.places)
    while left and len(left) > len(best):
        start = min(left)
        component = _reach(start, graph.edges) & _reach(start, back)
        best = max(best, component, key=len)
        left -= component
    graph.edges = defaultdict(
        dict, {a: {b: e for b, e in out.items() if b in best} for a, out in graph.edges.items() if a in best}
    )


def _reach(start: int, edges: dict[int, dict[int, RoadEdge]]) -> set[int]:
    seen, stack = {start}, [start]
    while stack:
        for neighbour in edges.get(stack.pop(), {}):
            if neighbour not in seen:
                seen.add(neighbour)
                stack.append(neighbour)
    return seen

"""Round trips through the villages of the extract: what the simulator drives."""

from itertools import pairwise
import json
import math
from pathlib import Path

from basemap.road_graph import RANK, RoadEdge, RoadGraph

VILLAGES = {
    "Vaduz": (47.1410, 9.5209), "Triesen": (47.1070, 9.5275), "Balzers": (47.0667, 9.5000),
    "Triesenberg": (47.1186, 9.5434), "Steg": (47.1118, 9.5766), "Malbun": (47.1028, 9.6084),
    "Schaan": (47.1663, 9.5103), "Planken": (47.1859, 9.5452), "Nendeln": (47.1974, 9.5431),
    "Eschen": (47.2108, 9.5205), "Mauren": (47.2190, 9.5440), "Schaanwald": (47.2165, 9.5700),
    "Schellenberg": (47.2312, 9.5458), "Ruggell": (47.2398, 9.5263), "Gamprin": (47.2191, 9.5102),
    "Bendern": (47.2122, 9.5062),
}  # fmt: skip
ROUTES = {
    "valley": ("Through the valley", ["Vaduz", "Triesen", "Balzers", "Triesen", "Vaduz", "Schaan"]),
    "lowland": ("Villages of the lowland", ["Schaan", "Bendern", "Gamprin", "Ruggell", "Schellenberg", "Mauren",
                                            "Eschen", "Nendeln"]),
    "fast": ("The fast road", ["Vaduz", "Schaan", "Bendern", "Ruggell", "Bendern"]),
    "mountain": ("Up the mountain and back", ["Vaduz", "Triesenberg", "Steg", "Malbun", "Steg"]),
    "east": ("Along the eastern foot", ["Schaan", "Planken", "Nendeln", "Schaanwald", "Mauren", "Eschen", "Bendern"]),
    "shuttle": ("Town shuttle", ["Vaduz", "Schaan", "Eschen", "Gamprin", "Bendern", "Schaan"]),
}  # fmt: skip
STOP_ROADS = ("primary", "secondary", "tertiary", "unclassified", "residential")
NOTICE = "© OpenStreetMap contributors, Open Database License 1.0; Liechtenstein, 3 August 2013"


def write_routes(graph: RoadGraph, out_dir: Path) -> None:
    """Write one JSON file a route into `out_dir` and print how long each is."""
    out_dir.mkdir(parents=True, exist_ok=True)
    for name, (title, villages) in ROUTES.items():
        nodes, visits = _round_trip(graph, villages)
        edges = [graph.edges[a][b] for a, b in pairwise(nodes)]
        route = {
            "name": name,
            "title": title,
            "notice": NOTICE,
            "length_m": round(sum(e.length_m for e in edges), 1),
            "points": [[round(x, 7) for x in graph.places[node]] for node in nodes],
            "limits_kmh": _limits(edges),
            "stops": _stops(graph, nodes, edges, visits),
        }
        text = json.dumps(route, ensure_ascii=False, separators=(",", ":"))
        for key in ("title", "notice", "length_m", "points", "limits_kmh", "stops"):
            text = text.replace(f',"{key}":', f',\n"{key}":')
        (out_dir / f"{name}.json").write_text(text + "\n", encoding="utf-8")
        kinds = [str(s["kind"]) for s in _stops(graph, nodes, edges, visits)]
        counts = {kind: kinds.count(kind) for kind in sorted(set(kinds))}
        print(f"{name}: {float(str(route['length_m'])) / 1000:.1f} km, {len(nodes)} points, {counts}")


def _round_trip(graph: RoadGraph, villages: list[str]) -> tuple[list[int], dict[int, str]]:
    """Nodes of the closed way and the indexes in it at which a village is reached."""
    stops = [graph.nearest(*VILLAGES[village], STOP_ROADS) for village in villages]
    came_from: int | None = None
    nodes: list[int] = []
    visits: dict[int, str] = {}
    for _ in range(3):  # the way out of the first stop must not turn back on the way into it
        nodes, visits = [stops[0]], {}
        for village, start, end in zip(villages, stops, stops[1:] + stops[:1], strict=True):
            visits[len(nodes) - 1] = village
            leg = graph.quickest(start, end, nodes[-2] if len(nodes) > 1 else came_from)
            nodes += leg[1:]
        if nodes[-2] == came_from:
            break
        came_from = nodes[-2]
    return nodes, visits


def _limits(edges: list[RoadEdge], least_run_m: float = 120) -> list[int]:
    """Limits of the edges; a stretch shorter than a sign would be put up for takes the lower one beside it."""
    limits = [e.limit_kmh for e in edges]
    runs: list[list[int]] = []
    for index, limit in enumerate(limits):
        if runs and limits[runs[-1][0]] == limit:
            runs[-1].append(index)
        else:
            runs.append([index])
    for before, run, after in zip(runs, runs[1:], runs[2:], strict=False):
        if sum(edges[i].length_m for i in run) < least_run_m:
            beside = min(limits[before[0]], limits[after[0]])
            for i in run:
                limits[i] = min(beside, limits[i]) if limits[i] > 30 else limits[i]
    return limits


def _stops(
    graph: RoadGraph, nodes: list[int], edges: list[RoadEdge], visits: dict[int, str]
) -> list[dict[str, object]]:
    """Where a driver may have to wait: lights, junctions at which the way turns or gives way, village stops."""
    stops: list[dict[str, object]] = []
    at_m, last_m = 0.0, -1000.0
    for index, (before, after) in enumerate(pairwise([edges[-1], *edges])):
        node = nodes[index]
        kind: str | None = None
        if index in visits:
            kind = "visit"
        elif node in graph.signals:
            kind = "lights"
        elif len(graph.degree[node]) >= 3 and index > 0 and at_m - last_m > 80:
            turn_deg = abs(_turn_deg(graph, nodes[index - 1], node, nodes[index + 1]))
            gives_way = RANK[before.road] > min(
                (RANK[e.road] for e in graph.edges[node].values()), default=RANK[before.road]
            )
            if turn_deg > 50 or (gives_way and before.name != after.name):
                kind = "junction"
        if kind is not None:
            stop: dict[str, object] = {"at_m": round(at_m, 1), "kind": kind}
            if kind == "visit":
                stop["name"] = visits[index]
            stops.append(stop)
            last_m = at_m
        at_m += after.length_m
    return stops


def _turn_deg(graph: RoadGraph, a: int, b: int, c: int) -> float:
    (lat_a, lon_a), (lat_b, lon_b), (lat_c, lon_c) = (graph.places[n] for n in (a, b, c))
    squeeze = math.cos(math.radians(lat_b))
    bearing_in = math.atan2((lon_b - lon_a) * squeeze, lat_b - lat_a)
    bearing_out = math.atan2((lon_c - lon_b) * squeeze, lat_c - lat_b)
    return (math.degrees(bearing_out - bearing_in) + 180) % 360 - 180

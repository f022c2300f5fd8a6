"""Natural Earth 1:50m as TopoJSON -> GeoJSON-lines layers of the whole world."""

from collections import Counter
from collections.abc import Iterable
import itertools
import json
from pathlib import Path
from typing import Any

Arc = list[tuple[float, float]]
LAYERS = ("land", "borders", "lakes", "countries")


def write_layers(countries_json: Path, water_json: Path, out_dir: Path) -> dict[str, int]:
    """Write land, borders, lakes and country labels as `<layer>.geojsonl`; returns the features of each."""
    out_dir.mkdir(parents=True, exist_ok=True)
    world = json.loads(countries_json.read_text(encoding="utf-8"))
    water = json.loads(water_json.read_text(encoding="utf-8"))
    arcs, water_arcs = _arcs(world), _arcs(water)
    countries = world["objects"]["countries"]["geometries"]
    layers: dict[str, list[dict[str, Any]]] = {
        "land": [_feature(_geometry(g, arcs)) for g in world["objects"]["land"]["geometries"]],
        "borders": [_feature({"type": "LineString", "coordinates": line}) for line in _shared(countries, arcs)],
        "lakes": [_feature(_geometry(g, water_arcs)) for g in water["objects"]["lakes"]["geometries"] if g["type"]],
        "countries": [
            _feature({"type": "Point", "coordinates": point}, name=g["properties"]["name"], rank=rank, minzoom=zoom)
            for g in countries
            if g.get("type")
            for point, rank, zoom in [_label(_geometry(g, arcs))]
        ],
    }
    for name, features in layers.items():
        text = "\n".join(json.dumps(f, separators=(",", ":"), ensure_ascii=False) for f in features)
        (out_dir / f"{name}.geojsonl").write_text(text + "\n", encoding="utf-8")
    return {name: len(features) for name, features in layers.items()}


def _arcs(topology: dict[str, Any]) -> list[Arc]:
    """Undo TopoJSON's quantisation and delta coding."""
    transform = topology.get("transform")
    result: list[Arc] = []
    for arc in topology["arcs"]:
        if transform is None:
            result.append([(point[0], point[1]) for point in arc])
            continue
        (scale_x, scale_y), (move_x, move_y) = transform["scale"], transform["translate"]
        x = y = 0
        points: Arc = []
        for dx, dy in arc:
            x, y = x + dx, y + dy
            points.append((x * scale_x + move_x, y * scale_y + move_y))
        result.append(points)
    return result


def _line(indexes: Iterable[int], arcs: list[Arc]) -> list[list[float]]:
    line: list[list[float]] = []
    for index in indexes:
        arc = arcs[index] if index >= 0 else arcs[~index][::-1]
        line.extend([round(x, 4), round(y, 4)] for x, y in (arc[1:] if line else arc))
    return line


def _polygons(geometry: dict[str, Any]) -> list[list[list[int]]]:
    return [geometry["arcs"]] if geometry["type"] == "Polygon" else list(geometry["arcs"])


def _geometry(geometry: dict[str, Any], arcs: list[Arc]) -> dict[str, Any]:
    coordinates = [[_line(ring, arcs) for ring in polygon] for polygon in _polygons(geometry)]
    return {"type": "MultiPolygon", "coordinates": coordinates}


def _shared(geometries: list[dict[str, Any]], arcs: list[Arc]) -> list[list[list[float]]]:
    """Lines that two countries have in common: borders without the coast."""
    uses: Counter[int] = Counter()
    for geometry in geometries:
        if geometry.get("type"):
            uses.update({i if i >= 0 else ~i for polygon in _polygons(geometry) for ring in polygon for i in ring})
    return [_line([index], arcs) for index, count in uses.items() if count > 1]


def _label(geometry: dict[str, Any]) -> tuple[list[float], int, int]:
    """Where a country's name goes (middle of its largest polygon), its rank 1 (large) to 5 and its least zoom."""
    ring = max((polygon[0] for polygon in geometry["coordinates"]), key=lambda r: abs(_area(r)))
    area = _area(ring)
    x = y = 0.0
    for (x0, y0), (x1, y1) in itertools.pairwise(ring):
        cross = x0 * y1 - x1 * y0
        x, y = x + (x0 + x1) * cross, y + (y0 + y1) * cross
    point = [round(x / (6 * area), 3), round(y / (6 * area), 3)] if area else list(ring[0])
    rank = next((r for r, least in ((1, 300), (2, 60), (3, 12), (4, 2)) if abs(area) >= least), 5)
    return point, rank, min(rank - 1, 4)


def _area(ring: list[list[float]]) -> float:
    return sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in itertools.pairwise(ring)) / 2


def _feature(geometry: dict[str, Any], minzoom: int = 0, **properties: object) -> dict[str, Any]:
    return {
        "type": "Feature", "tippecanoe": {"minzoom": minzoom}, "geometry": geometry, "properties": properties,
    }  # fmt: skip

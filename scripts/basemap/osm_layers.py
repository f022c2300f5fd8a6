"""OSM extract -> one GeoJSON-lines file a layer, with the zoom from which each feature is shown."""

from collections.abc import Callable, Mapping
import json
from pathlib import Path
from typing import Any

import osmium
from osmium.geom import GeoJSONFactory

LAYERS = ("boundary", "landuse", "water", "waterways", "buildings", "roads", "rail", "places", "pois")

ROAD_MINZOOM = {
    "motorway": 5, "trunk": 6, "primary": 7, "secondary": 8, "tertiary": 10,
    "motorway_link": 9, "trunk_link": 10, "primary_link": 10, "secondary_link": 11, "tertiary_link": 11,
    "residential": 12, "unclassified": 12, "road": 12, "living_street": 12, "pedestrian": 13,
    "service": 13, "track": 13, "path": 14, "footway": 14, "cycleway": 14, "steps": 14,
}  # fmt: skip
PLACE_MINZOOM = {"country": 3, "city": 4, "town": 7, "village": 9, "hamlet": 11, "suburb": 11, "locality": 12}
POI_AMENITIES = ("fuel", "parking", "hospital", "charging_station", "police", "fire_station")
LANDUSE_CLASSES = {
    "wood": "forest", "forest": "forest", "residential": "residential", "industrial": "industrial",
    "commercial": "industrial", "retail": "industrial", "farmland": "farmland", "farm": "farmland",
    "orchard": "farmland", "vineyard": "vineyard", "meadow": "meadow", "grass": "meadow", "grassland": "meadow",
    "scrub": "scrub", "heath": "scrub", "scree": "rock", "bare_rock": "rock", "glacier": "glacier",
    "wetland": "wetland", "cemetery": "cemetery", "park": "park", "pitch": "park", "golf_course": "park",
    "playground": "park", "nature_reserve": "park", "quarry": "quarry",
}  # fmt: skip
WATER_CLASSES = {"water": "lake", "reservoir": "lake", "basin": "lake", "riverbank": "river"}


def write_layers(pbf: Path, out_dir: Path) -> dict[str, int]:
    """Write `<layer>.geojsonl` for each of LAYERS into `out_dir`; returns the number of features of each."""
    out_dir.mkdir(parents=True, exist_ok=True)
    factory = GeoJSONFactory()
    lines: dict[str, list[str]] = {layer: [] for layer in LAYERS}

    def add(layer: str, geometry: str, minzoom: int, **properties: object) -> None:
        feature = {
            "type": "Feature",
            "tippecanoe": {"minzoom": minzoom},
            "geometry": json.loads(geometry),
            "properties": {key: value for key, value in properties.items() if value not in (None, "")},
        }
        lines[layer].append(json.dumps(feature, separators=(",", ":"), ensure_ascii=False))

    for item in osmium.FileProcessor(str(pbf)).with_locations().with_areas():
        tags: Mapping[str, str] = item.tags
        try:
            if item.is_node():
                _node(item, tags, factory, add)
            elif item.is_way():
                _way(item, tags, factory, add)
            elif item.is_area():
                _area(item, tags, factory, add)
        except (RuntimeError, osmium.InvalidLocationError):
            continue  # ways and areas that leave the extract have nodes without a place
    for layer, content in lines.items():
        (out_dir / f"{layer}.geojsonl").write_text("\n".join(content) + "\n", encoding="utf-8")
    return {layer: len(content) for layer, content in lines.items()}


def speed_limit(text: str | None) -> int | None:
    """`maxspeed` as km/h, or None where it is absent or not a number."""
    return int(text) if text is not None and text.isdigit() else None


def _node(item: Any, tags: Mapping[str, str], factory: GeoJSONFactory, add: Callable[..., None]) -> None:
    place = tags.get("place")
    if place in PLACE_MINZOOM and "name" in tags:
        population = tags.get("population", "")
        add(
            "places", factory.create_point(item), PLACE_MINZOOM[place], **{"class": place}, name=tags["name"],
            population=int(population) if population.isdigit() else None,
        )  # fmt: skip
    elif tags.get("natural") == "peak" and "name" in tags:
        add("places", factory.create_point(item), 11, **{"class": "peak"}, name=tags["name"], ele=tags.get("ele"))
    elif tags.get("amenity") in POI_AMENITIES:
        add("pois", factory.create_point(item), 13, **{"class": tags["amenity"]}, name=tags.get("name"))


def _way(item: Any, tags: Mapping[str, str], factory: GeoJSONFactory, add: Callable[..., None]) -> None:
    highway, waterway = tags.get("highway"), tags.get("waterway")
    if highway in ROAD_MINZOOM:
        add(
            "roads", factory.create_linestring(item), ROAD_MINZOOM[highway], **{"class": highway},
            name=tags.get("name"), ref=tags.get("ref"), maxspeed=speed_limit(tags.get("maxspeed")),
            oneway=1 if tags.get("oneway") in ("yes", "1", "true") or tags.get("junction") == "roundabout" else None,
            bridge=1 if tags.get("bridge") == "yes" else None, tunnel=1 if tags.get("tunnel") == "yes" else None,
        )  # fmt: skip
    elif tags.get("railway") == "rail":
        add("rail", factory.create_linestring(item), 10, **{"class": "rail"})
    elif waterway in ("river", "stream", "canal"):
        minzoom = {"river": 6, "canal": 9}.get(waterway, 12)
        add("waterways", factory.create_linestring(item), minzoom, **{"class": waterway}, name=tags.get("name"))
    elif tags.get("boundary") == "administrative" and tags.get("admin_level") in ("2", "4", "6", "8"):
        level = int(tags["admin_level"])
        add("boundary", factory.create_linestring(item), 4 if level == 2 else 10, admin_level=level)


def _area(item: Any, tags: Mapping[str, str], factory: GeoJSONFactory, add: Callable[..., None]) -> None:
    kind = tags.get("natural") or tags.get("landuse") or tags.get("leisure") or tags.get("waterway")
    if "building" in tags:
        add("buildings", factory.create_multipolygon(item), 13, **{"class": "building"}, name=tags.get("name"))
    elif kind in WATER_CLASSES:
        water_class = WATER_CLASSES[kind]
        minzoom = 6 if water_class == "river" else 10
        add("water", factory.create_multipolygon(item), minzoom, **{"class": water_class}, name=tags.get("name"))
    elif kind in LANDUSE_CLASSES:
        landuse = LANDUSE_CLASSES[kind]
        minzoom = 7 if landuse == "forest" else 9
        add("landuse", factory.create_multipolygon(item), minzoom, **{"class": landuse}, name=tags.get("name"))

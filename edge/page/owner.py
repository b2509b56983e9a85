"""Files that root makes in the folder of a service are the service's own, as its own would be."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["give_to_owner"]


def give_to_owner(*paths: Path) -> None:
    """Give each of `paths` to the owner of the folder that it is in, where root runs this.

    The service's user could neither read nor change them otherwise. Raises OSError.
    """
    if os.geteuid() != 0:
        return
    for path in paths:
        owner, own = path.parent.stat(), path.stat()
        if own.st_uid != owner.st_uid:
            os.chown(path, owner.st_uid, owner.st_gid)

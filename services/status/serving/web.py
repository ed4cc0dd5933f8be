"""`garant status web`: the folder of pages and nothing else, served by several processes.

It needs no broker and no database, so it answers while both are away: for more readers than one process
serves, or on another machine that has the folder.
"""

from __future__ import annotations

import os
from pathlib import Path

import uvicorn

from services.status.serving.kept_files import Folder
from services.status.serving.public import App, serve_folder
from shared.errors import NeedsAPerson
from shared.health import check_port

_FOLDER, _SECURE = "GARANT_STATUS_WEB_FOLDER", "GARANT_STATUS_WEB_SECURE"
"""How the starter tells its worker processes."""


class NoPages(NeedsAPerson):
    """There is no such folder."""


def application() -> App:
    """What a worker process serves."""
    return serve_folder(Folder(Path(os.environ[_FOLDER]), secure=bool(os.environ[_SECURE])))


def serve_only(folder: Path, host: str, port: int, workers: int, *, secure: bool) -> None:
    """Serves `folder` with `workers` processes until SIGTERM or SIGINT; one that dies is replaced.

    Raises NoPages, PortTaken.
    """
    if not folder.is_dir():
        raise NoPages(
            f"There are no pages in {folder}. `garant status serve` writes them; set GARANT_STATUS_FOLDER to "
            "where it does."
        )
    check_port(host, port, "GARANT_STATUS_PORT")
    os.environ |= {_FOLDER: str(folder.absolute()), _SECURE: "1" if secure else ""}
    uvicorn.run(
        "services.status.serving.web:application",
        factory=True,
        host=host,
        port=port,
        workers=workers,
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="off",
        proxy_headers=False,
        timeout_graceful_shutdown=5,
    )

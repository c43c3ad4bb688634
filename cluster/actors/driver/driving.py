"""This process as a driver of a cluster's Ray, for as long as a block lasts.

Ray is imported only then, so that whatever can be said without it is said at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cluster.actors.ray_side.start.environment import use_foreign, use_ray
from cluster.node.home import Home, read_home
from cluster.node.state import ClusterState, state_path

if TYPE_CHECKING:
    from cluster.actors.driver.launch import Launch


@contextmanager
def driving(address: str, namespace: str, run_folder: str, home: Home) -> Iterator[Launch]:
    """The actors of `namespace` in the Ray at `address`, from the node with this home. UnreachableError, ClusterError.

    `run_folder`: of our own Ray on this node; "" where that Ray is somebody else's.
    """
    if run_folder:
        use_ray(Path(run_folder), home if home.record is not None else None)
    else:
        use_foreign()
    from cluster.actors.driver.launch import Launch

    launch = Launch(address, namespace, home.folder)
    try:
        yield launch
    finally:
        launch.close()


def remembered(state: ClusterState) -> AbstractContextManager[Launch]:
    """The same, of the cluster that this machine remembers."""
    run_folder = state.run_folder if state.owns_ray else ""
    return driving(state.ray_address, state.ray_namespace, run_folder, read_home(state_path().parent))


@contextmanager
def guest(address: str, namespace: str, home: Home) -> Iterator[Launch]:
    """The same for an actor, which is in that Ray already and stays there. UnreachableError, ClusterError."""
    from cluster.actors.driver.launch import Launch

    yield Launch(address, namespace, home.folder, is_connected=True)

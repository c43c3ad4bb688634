"""Where the tools are that judge our files. None of them is needed to use the project: extra `deploy` has them."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent
TIMEOUT_S = 120


def tool(name: str) -> str:
    """The path of a program of this environment or this machine; skips where there is none."""
    found = shutil.which(name, path=str(BIN)) or shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not here; pip install 'ggml-cluster[deploy]' where it comes from there")
    return found


def helm(folder: Path) -> str:
    """The path of helm: this machine's, or the one inside of a package of PyPI, unpacked into `folder`."""
    found = shutil.which("helm")
    if found is not None:
        return found
    spec = importlib.util.find_spec("aws_cdk")
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    archives = [path for place in places for path in Path(place).glob("lambda_layer_kubectl_v*/_jsii/*.tgz")]
    if not archives:
        pytest.skip("helm is not here, nor the package that has it; pip install 'ggml-cluster[deploy]'")
    with tarfile.open(archives[0]) as archive:
        layer = archive.extractfile("package/lib/layer.zip")
        assert layer is not None
        zipfile.ZipFile(layer).extract("helm/helm", folder)
    program = folder / "helm" / "helm"
    program.chmod(0o755)
    return str(program)


def run(*command: str, **more: str) -> str:
    """What `command` prints; it succeeds. `more` is its whole environment besides PATH, where anything is given."""
    environment = {"PATH": f"{BIN}:/usr/bin:/bin:/usr/sbin:/sbin", **more} if more else None
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False, env=environment)
    assert done.returncode == 0, f"{command[0]}: {done.stdout}{done.stderr}"
    return done.stdout

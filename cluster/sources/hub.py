"""The Hugging Face hub, through huggingface_hub: its endpoint, token, cache and offline mode are honoured."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import huggingface_hub
from huggingface_hub import HfApi, constants, errors
from huggingface_hub.hf_api import RepoSibling
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]  # not in its __all__

from cluster.api.errors import ClusterError, UnreachableError, UsageError
from cluster.sources.http import MAX_SIZE_BYTES, HttpOrigin
from cluster.sources.hub_choice import choose_files, choose_projector
from cluster.sources.name import HubName
from cluster.sources.source import HubPart
from cluster.store.fingerprint import Range
from cluster.store.origin import Origin

API_TIMEOUT_S = 30.0
_LIBRARY = "ggml-cluster"
_HEX = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


def is_offline() -> bool:
    """Whether HF_HUB_OFFLINE forbids asking the hub."""
    return bool(constants.is_offline_mode())


def resolve_hub(name: HubName) -> tuple[HubPart, ...]:
    """The parts of the model in the repository as it is now, pinned to its commit.

    UsageError where it is not there or not allowed, or the name fits no single model; UnreachableError.
    """
    with _errors_of_hub(name.repo):
        info = HfApi(library_name=_LIBRARY).model_info(
            name.repo, revision=name.revision, files_metadata=True, timeout=API_TIMEOUT_S
        )
        files = {file.rfilename: file for file in info.siblings or ()}
        return tuple(
            _part(name.repo, info.sha, files[chosen]) for chosen in choose_files(files, name.choice, name.repo)
        )


def projector_path(name: HubName) -> Path:
    """The mmproj file of a repository, in the hub's cache on this node: downloaded, if it is not there.

    UsageError where it has none, or the name fits no single one; UnreachableError.
    """
    with _errors_of_hub(name.repo):
        if is_offline():
            for _, files in _cached_files(name):
                return files[choose_projector(files, name.choice, name.repo)].file_path
            raise UsageError(f"hf:{name.repo}: HF_HUB_OFFLINE is set, and the model is not here; unset it once")
        info = HfApi(library_name=_LIBRARY).model_info(name.repo, revision=name.revision, timeout=API_TIMEOUT_S)
        chosen = choose_projector([file.rfilename for file in info.siblings or ()], name.choice, name.repo)
        # By the revision's name, under which it is looked for where the hub may not be asked.
        return Path(huggingface_hub.hf_hub_download(name.repo, chosen, revision=name.revision, library_name=_LIBRARY))


def _part(repo: str, commit: str | None, file: RepoSibling) -> HubPart:
    """ValueError where the hub says something that cannot be."""
    digest = (file.lfs.sha256 if file.lfs else file.blob_id) or ""
    if not _HEX.fullmatch(commit or "") or not _HEX.fullmatch(digest) or not 0 <= int(file.size or 0) < MAX_SIZE_BYTES:
        raise ValueError("commit, digest or size")
    return HubPart(repo, commit or "", file.rfilename, int(file.size or 0), digest)


def resolve_cached(name: HubName) -> tuple[HubPart, ...]:
    """The same from the hub's cache on this node, without asking the hub; () where it is not in there whole."""
    for commit, files in _cached_files(name):
        chosen = choose_files(files, name.choice, name.repo)
        return tuple(
            HubPart(name.repo, commit, key, files[key].size_on_disk, files[key].blob_path.name) for key in chosen
        )
    return ()


def cached_path(part: HubPart) -> Path | None:
    """The file in the hub's cache on this node, if it is there."""
    found = huggingface_hub.try_to_load_from_cache(part.repo, part.file_name, revision=part.commit)
    return Path(found) if isinstance(found, str) else None


def origin(part: HubPart, start: int) -> Origin:
    """The file at this node's endpoint, read with this node's token, if it has one."""
    if is_offline():
        return OfflineOrigin(f"hf:{part.repo}: {part.file_name}", start, part.size_bytes)
    url = huggingface_hub.hf_hub_url(part.repo, part.file_name, revision=part.commit)
    return HttpOrigin(url, part.size_bytes, start=start, headers=_request_headers)


@dataclass(frozen=True, slots=True)
class OfflineOrigin:
    """A file that may not be asked for: what is stored of it already is all there is."""

    name: str
    start: int
    size_bytes: int
    is_local: bool = False

    @property
    def covers(self) -> tuple[Range, ...]:
        return ((self.start, self.start + self.size_bytes),)

    def read(self, begin: int, end: int) -> Iterator[bytes]:
        raise UsageError(f"{self.name}: HF_HUB_OFFLINE is set, and not all that is needed is here; unset it once")


def _request_headers() -> Mapping[str, str]:
    return dict(build_hf_headers(library_name=_LIBRARY))


def _cached_files(name: HubName) -> Iterator[tuple[str, dict[str, huggingface_hub.CachedFileInfo]]]:
    """What the cache has of the revision that is meant: its commit, and the files by their names."""
    wanted = name.revision or constants.DEFAULT_REVISION
    for repo in _cached_repos():
        if repo.repo_id != name.repo or repo.repo_type != "model":
            continue
        for revision in repo.revisions:
            if wanted == revision.commit_hash or wanted in revision.refs:
                where = revision.snapshot_path
                yield revision.commit_hash, {one.file_path.relative_to(where).as_posix(): one for one in revision.files}


def _cached_repos() -> Iterator[huggingface_hub.CachedRepoInfo]:
    try:
        yield from huggingface_hub.scan_cache_dir().repos
    except errors.CacheNotFound:
        return


@contextmanager
def _errors_of_hub(repo: str) -> Iterator[None]:
    try:
        yield
    except ClusterError:
        raise
    except errors.GatedRepoError as error:
        raise UsageError(f"hf:{repo}: access refused: accept the model's terms on the hub and set HF_TOKEN") from error
    except errors.RevisionNotFoundError as error:
        raise UsageError(f"hf:{repo}: no such revision; check what stands after the @") from error
    except errors.RepositoryNotFoundError as error:
        raise UsageError(f"hf:{repo}: no such model, or it is private; check the name and HF_TOKEN") from error
    except errors.OfflineModeIsEnabled as error:
        raise UsageError(f"hf:{repo}: HF_HUB_OFFLINE is set, and the model is not here; unset it once") from error
    except errors.HFValidationError as error:
        raise UsageError(f"hf:{repo}: {_line(error)}; give hf:org/repo:Q4_K_M") from error
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        kind = UnreachableError if status >= 500 or status == 429 else UsageError
        raise kind(f"hf:{repo}: the hub answers HTTP {status}; check HF_TOKEN, or try again later") from error
    except (httpx2.HTTPError, OSError) as error:
        raise UnreachableError(
            f"hf:{repo}: {constants.ENDPOINT} cannot be reached: {_line(error)}; with HF_HUB_OFFLINE=1, what is here "
            "already can be used"
        ) from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UnreachableError(
            f"hf:{repo}: {constants.ENDPOINT} does not answer like the hub; check HF_ENDPOINT"
        ) from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__

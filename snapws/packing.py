"""The files of an archive, made one by one from those of a workspace.

Several layers are packed in parallel, each by two threads: one reads and inflates, the other
hashes, writes and helps to deflate. All layers share the threads that deflate (`snapws.deflate`).
Images are streamed, so memory does not grow with their size. The exceptions are images that must
be in memory as a whole (`ImageHeader.needs_whole_image`): they are packed one at a time.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Generator, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event, Lock
from typing import BinaryIO, Literal, get_args

from snapws import compression, deflate, images, mesh_formats, paths, prefetch
from snapws.archive_names import LAYER_NAME
from snapws.errors import (
    ArchiveError,
    ImageChanged,
    ImageError,
    LayerFileMissing,
    MeshError,
)
from snapws.images import voxel_files
from snapws.images.header import ImageHeader
from snapws.images.voxel_hash import VoxelHash
from snapws.meshes import FORMATS
from snapws.named_files import NamedFile
from snapws.privacy import (
    NEUTRAL_ROOT,
    KeptText,
    Privacy,
    dropped_keys,
    kept_texts,
    scrubbed,
    set_arrays,
)
from snapws.registry import xml_format
from snapws.sources import Source, beyond
from snapws.workspace import Workspace

Names = Literal["hash", "keep"]
Stamp = tuple[int, int, int, int]

_MOST_AT_ONCE = 8


@dataclass(frozen=True)
class ArchiveReport:
    """The contents of an archive: its files, the typed texts that it keeps, the removed entries.

    Voxels are never changed: a scan of a head can still show a face.

    Attributes:
        privacy: ``standard`` or ``strict``, as requested.
        workspace: The workspace file of the archive.
        files: Every file of the archive, the workspace last.
        kept: The texts that somebody typed and that the archive keeps, with their kind and key.
        dropped: The removed registry entries, counted by key (indices as ``[]``).
        taken: Layers of an earlier archive that were copied unchanged, after their hash was
            checked.
        unscrubbed: Meshes that cannot be scrubbed and were copied unchanged, with all their texts.
        outside: The files outside of the workspace's folder that were read: images with their voxel
            files and slices, and meshes, by real path. No file of the archive names them.
    """

    privacy: Privacy
    workspace: Path
    files: tuple[Path, ...]
    kept: tuple[KeptText, ...]
    dropped: dict[str, int]
    taken: tuple[Path, ...]
    unscrubbed: tuple[Path, ...]
    outside: tuple[Source, ...]

    def record(self) -> dict[str, object]:
        """Return the report as JSON values, with the names and sizes of files, without the folder.

        Files from outside have their full path, so the report should stay on this machine.
        """
        return {
            "privacy": self.privacy,
            "workspace": self.workspace.name,
            "files": [{"name": one.name, "bytes": one.stat().st_size} for one in self.files],
            "kept": [vars(text) for text in self.kept],
            "dropped": self.dropped,
            "taken": [one.name for one in self.taken],
            "unscrubbed": [one.name for one in self.unscrubbed],
            "outside": [{"where": where, "path": str(path)} for where, path in self.outside],
            "voxels": "unchanged",
        }


@dataclass(frozen=True)
class Progress:
    """The progress of packing one layer.

    Attributes:
        layer: The number of the layer.
        done: The bytes of stored voxels read so far.
        total: The bytes of all stored voxels.
    """

    layer: int
    done: int
    total: int


Watcher = Callable[[Progress], None]
Packing = Generator[Path, None, ArchiveReport]


def pack(
    workspace: Workspace,
    folder: Path,
    name: str,
    *,
    names: Names = "hash",
    privacy: Privacy = "standard",
    level: int = compression.LEVEL,
    unscrubbed_meshes: bool = False,
    progress: Watcher | None = None,
) -> Packing:
    """Write the files of an archive one by one, and yield each as soon as it is complete.

    A missing file is reported before any file is written. After an error, the files already written
    stay in `folder`.

    Args:
        workspace: The workspace to pack; it is not changed.
        folder: An empty folder.
        name: The name of the workspace file to write.
        names: As for `snapws.archive.write_archive`.
        privacy: As for `snapws.archive.write_archive`.
        level: The compression level.
        unscrubbed_meshes: Whether to copy meshes that cannot be scrubbed unchanged.
        progress: Called after each read piece.

    Yields:
        Each file, in the order of the layers, meshes after them, the workspace last.

    Returns:
        The report.

    Raises:
        ArchiveError: As for `snapws.archive.write_archive`.
        WorkspaceError: As for `snapws.archive.write_archive`.
        OSError: `folder` cannot be written.
    """
    if names not in get_args(Names):
        raise ArchiveError(f"names must be 'hash' or 'keep', not {names!r}")
    if privacy not in get_args(Privacy):
        raise ArchiveError(f"privacy must be 'standard' or 'strict', not {privacy!r}")
    if level not in compression.LEVELS:
        raise ArchiveError(f"level must be between 1 and 9, not {level!r}")
    workspace.main  # noqa: B018 - there has to be one
    draft = scrubbed(workspace, privacy)
    packer = _Packer(folder, names, level, unscrubbed_meshes, progress)
    works: list[tuple[str, Callable[[], Path]]] = []
    for one in workspace.files():
        path = workspace.local_file(one.file, one.where)
        _refuse_missing(path, one.where)
        works.append((one.key, partial(packer.image if one.image else packer.mesh, path, one)))
    written = []
    kept: list[KeptText] = []
    with packer.working() as submit:
        for key, made in [(key, submit(work)) for key, work in works]:
            file = made()
            draft.registry[key] = f"{NEUTRAL_ROOT}/{file.name}"
            if names == "keep":
                kept.append(KeptText("file name", key, file.name))
            written.append(file)
            yield file
    for number, mesh in enumerate(workspace.meshes()):
        arrays = packer.arrays.get(f"mesh:{number}", ())
        set_arrays(draft, mesh, mesh_formats.common_names(arrays))
    written.append(folder / name)
    written[-1].write_bytes(xml_format.to_bytes(draft.registry))
    yield written[-1]
    return ArchiveReport(
        privacy,
        written[-1],
        tuple(written),
        (*kept_texts(draft.registry, privacy), *kept),
        dict(dropped_keys(workspace.registry, draft.registry)),
        tuple(file for file in written if file in packer.taken),
        tuple(file for file in written if file in packer.unscrubbed),
        beyond(sorted(packer.read), (workspace.folder,)),
    )


class _Stopped(Exception):
    """The work on another layer failed, or the archive is no longer wanted."""


class _Packer:
    """The state that the threads share while they write the files of one archive.

    Attributes:
        taken: As in the report.
        unscrubbed: As in the report.
        read: The files that were read.
        arrays: The neutral names of the arrays in each file of a mesh layer, by layer.
    """

    def __init__(
        self, folder: Path, names: Names, level: int, as_they_are: bool, progress: Watcher | None
    ) -> None:
        self.taken: set[Path] = set()
        self.unscrubbed: set[Path] = set()
        self.read: set[Source] = set()
        self.arrays: dict[str, list[Mapping[str, str]]] = {}
        self._folder = folder
        self._names = names
        self._level = level
        self._as_they_are = as_they_are
        self._progress = progress
        self._deflaters = deflate.Deflaters()
        self._telling = Lock()
        self._whole_image = Lock()
        self._stop = Event()
        self._told: dict[int, int] = {}
        self._written: dict[Hashable, Future[tuple[Path, str]]] = {}
        self._failure: BaseException | None = None

    @contextmanager
    def working(self) -> Iterator[Callable[[Callable[[], Path]], Callable[[], Path]]]:
        """Return a function that starts work in a thread and returns a function to wait for it.

        There are as many threads as cores. The first error stops the other threads soon; every
        function that waits then raises this error.
        """
        at_once = min(deflate.cores(), _MOST_AT_ONCE)
        with self._deflaters, ThreadPoolExecutor(at_once) as pool:

            def begin(work: Callable[[], Path]) -> Callable[[], Path]:
                begun = pool.submit(self._guarded, work)
                return lambda: self._result(begun)

            try:
                yield begin
            finally:
                self._stop.set()
                pool.shutdown(wait=False, cancel_futures=True)

    def _guarded(self, work: Callable[[], Path]) -> Path:
        try:
            return work()
        except _Stopped:
            raise
        except BaseException as error:
            with self._telling:
                self._failure = self._failure or error
            self._stop.set()
            raise

    def _result(self, begun: Future[Path]) -> Path:
        try:
            return begun.result()
        except Exception:  # not an interrupt, which is this thread's own
            if self._failure:
                raise self._failure from None
            raise

    def image(self, path: Path, named: NamedFile) -> Path:
        """Write the file of a layer."""
        assert named.image  # noqa: S101 - it is not a surface
        try:
            before = _stamps([path])
            header = images.read_header(path, "send", named.image.hints)
            for file in header.files:
                if file != header.path:
                    voxel_files.refuse_missing(header.path, file)
            before += _stamps(header.files)
            self.read |= {Source(named.where, one) for one in (path, *header.files)}
            try:
                # The file name can show the format, and for a layer of an archive the hash.
                archived = LAYER_NAME.fullmatch(header.path.name) and header.path.name
                image = (*before[1:], header.path.suffix.lower(), archived, named.image.hints)
                file = self._once(image, path, header, named.image.number)
            except ImageError:
                _refuse_changed(path, header, before)
                raise
            _refuse_changed(path, header, before)
        except ImageError as error:
            raise type(error)(f"{named.where}: {error}") from None
        return file

    def mesh(self, path: Path, named: NamedFile) -> Path:
        """Write the file of a surface."""
        self.read.add(Source(named.where, path))
        try:
            mesh = mesh_formats.content(path)
            if mesh.refusal and not self._as_they_are:
                raise mesh.refusal
        except MeshError as error:
            raise type(error)(f"{named.where}: {error}") from None
        self.arrays.setdefault(named.where, []).append(mesh.names)
        content = hashlib.md5(mesh.data, usedforsecurity=False).hexdigest()
        # A file without the ending of a mesh may contain anything.
        ending = path.suffix.lower() if path.suffix.lower() in FORMATS else ".mesh"
        file = self._folder / f"mesh_{named.number}_{self._called(path, content)}{ending}"
        file.write_bytes(mesh.data)
        if mesh.refusal:
            self.unscrubbed.add(file)
        return file

    def _called(self, path: Path, content: str) -> str:
        return content if self._names == "hash" else path.name.partition(".")[0]

    def _once(self, image: Hashable, path: Path, header: ImageHeader, number: int) -> Path:
        """Write the file of a layer, or copy that of an earlier layer with the same image."""
        written: Future[tuple[Path, str]] = Future()
        with self._telling:
            earlier = self._written.setdefault(image, written)
        file = self._folder / f"layer_{number:03d}"
        if earlier is not written:
            source, content = earlier.result()
            shutil.copyfile(source, file)
            self._tell(Progress(number, header.nbytes, header.nbytes))
            named = file.rename(f"{file}_{self._called(path, content)}.nii.gz")
            if source in self.taken:
                self.taken.add(named)
            return named
        try:
            with self._whole_image if header.needs_whole_image else nullcontext():
                if self._stop.is_set():  # while this thread waited
                    raise _Stopped
                content = self._write(header, file, number)
            named = file.rename(f"{file}_{self._called(path, content)}.nii.gz")
        except BaseException as error:
            # Not `_Stopped`: the failure is noted only later, when this thread ends.
            written.set_exception(error)
            raise
        written.set_result((named, content))
        return named

    def _write(self, header: ImageHeader, file: Path, number: int) -> str:
        """Write a layer and return its hash; copy its deflated bytes if they are clean."""
        archived = LAYER_NAME.fullmatch(header.path.name) if self._names == "hash" else None
        content = None
        if archived:
            content = self._copy(header, header.clean_voxels, file, number)
            if content and content == archived["hash"]:
                self.taken.add(file.with_name(f"{file.name}_{content}.nii.gz"))
                return content
        elif self._level == compression.LEVEL:
            voxels = partial(header.deflated_voxels, observe=deflate.SizeCheck())
            content = self._copy(header, voxels, file, number)
        return content or self._deflate(header, file, number)

    def _copy(
        self,
        header: ImageHeader,
        voxels: Callable[[BinaryIO], Iterator[bytes]],
        file: Path,
        number: int,
    ) -> str | None:
        """Copy the deflated bytes of a layer and return its hash; None if they hold metadata.

        The check examines the same bytes that are copied.
        """
        content = VoxelHash(header)
        watch = self._watching(header, content, number)
        try:
            with file.open("wb") as out:
                for piece in prefetch.prefetched(voxels(out)):
                    watch(piece)
        except (ImageError, deflate.Bulky):
            return None  # deflating the layer anew reports the error, if there is one
        return content.hexdigest()

    def _deflate(self, header: ImageHeader, file: Path, number: int) -> str:
        """Deflate a layer anew, write it and return its hash."""
        content = VoxelHash(header)
        watch = self._watching(header, content, number)
        with file.open("wb") as out:
            images.write_nifti(
                header, out, level=self._level, watch=watch, deflaters=self._deflaters
            )
        return content.hexdigest()

    def _watching(
        self, header: ImageHeader, content: VoxelHash, number: int
    ) -> Callable[[bytes], None]:
        """Return a function that hashes voxels, reports progress, and stops if asked to stop."""
        done = 0

        def watch(voxels: bytes) -> None:
            nonlocal done
            if self._stop.is_set():
                raise _Stopped
            content.update(voxels)
            done += len(voxels)
            self._tell(Progress(number, done, header.nbytes))

        return watch

    def _tell(self, progress: Progress) -> None:
        with self._telling:
            # A layer that cannot be copied is read a second time.
            if self._progress and progress.done > self._told.get(progress.layer, -1):
                self._told[progress.layer] = progress.done
                self._progress(progress)


def _refuse_missing(path: Path, what: str) -> None:
    if why := paths.unusable(path):
        raise LayerFileMissing(
            f"{what}: its file {path} {why}: put it back, set its path, or relocate the workspace"
        )


def _refuse_changed(path: Path, header: ImageHeader, before: list[Stamp]) -> None:
    if _stamps([path, *header.files]) != before:
        raise ImageChanged(
            f"{path} was written to while it was read: try again when no program writes to it"
        )


def _stamps(paths: Sequence[Path]) -> list[Stamp]:
    """Return size, time and identity of files, which change if a program writes to them."""
    try:
        found = [path.stat() for path in paths]
    except OSError as error:
        raise ImageError(f"{error.filename}: {error.strerror}") from None
    return [(one.st_dev, one.st_ino, one.st_size, one.st_mtime_ns) for one in found]

"""Who may import whom: the house's first law, read off the source, late and conditional imports
included.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGES = ("edge", "train", "deploy")
BUNDLE_NEEDS = {"numpy", "scipy", "bottleneck", "cryptography"}  # the last for keys only
# What all packages share beside the bundle: there is one of each, and none knows the others' rooms.
SHARED = (
    *("edge.errors", "edge.extras", "edge.files", "edge.scheduler", "edge.strictyaml"),
    "edge.terminal",
)
# Modules of `deploy/importing` that make graphs.
IMPORTING = (
    *("birdnet_classifier", "dense", "layers", "onnx_file", "onnx_graph", "onnx_network"),
    *("onnx_parts", "waveform"),
)
# Tests of everything; the others stand in a folder named as what they test.
OF_ALL_PACKAGES = {
    "test_boundaries.py",
    "test_documents.py",
    "test_gpu.py",
    "test_repository.py",
    "test_without_torch.py",
}
# What each room and single module may import of its own package. What is not named imports nothing
# of it: `errors`, `types`.
MAY_IMPORT: dict[str, dict[str, str]] = {
    "edge": {
        "strictyaml": "errors",
        "types": "frames signal",
        "scheduler": "errors extras",
        "section": "errors",
        "terminal": "errors",
        "bundle": "errors files",
        "backends": "bundle errors extras files types",
        "sources": "backoff errors extras section types",
        "clock": "errors sources",
        "demo": "files",
        "detect": "backends bundle clock errors section signal strictyaml types",
        "provenance": "bundle detect errors section",
        "config": "bundle clock detect errors provenance section sources strictyaml",
        "store": "bundle clock errors types",
        "wire": "clock provenance store types wire_parts",
        "wire_parts": "clock provenance types",
        "threads": "errors",
        "mqtt": "backoff bundle clock config errors rate_limited_log store threads",
        "heads": "bundle config errors files models rate_limited_log section threads",
        "recorder": (
            "backoff bundle clock config detect errors files heads models mqtt notify provenance "
            "rate_limited_log section sources store threads types wire"
        ),
        "replay": (
            "bundle clock config detect errors extras files models provenance section sources "
            "terminal types wire wire_parts"
        ),
        "archive": (
            "bundle clock detect errors extras files models provenance replay scheduler signal "
            "sources store terminal types"
        ),
        "page": (
            "archive bundle clock config errors extras files provenance replay signal sources "
            "store terminal types"
        ),
        "notify": (
            "backoff bundle clock config detect errors extras heads models page rate_limited_log "
            "store terminal"
        ),
        "models": "bundle",
        "info": "bundle",
        "bench": "backends bundle demo detect errors models replay sources types",
        "cli": (
            "archive bench bundle detect errors info models notify page recorder replay sources "
            "terminal"
        ),
    },
    "train": {
        "windows": "corpus networks recipe",
        "learning": "corpus networks recipe windows",
        "judging": "corpus windows",
        "export": "corpus judging learning windows",
        "adapting": "corpus judging learning recipe windows",
        "commands": "adapting corpus export judging learning networks recipe windows",
    },
    "deploy": {"cli": "compile fleet importing install quantize", "fleet": "broker"},
}


def _modules(root: Path, *folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from sorted((root / folder).rglob("*.py"))


def _imports(file: Path, root: Path) -> Iterator[str]:
    """Dotted names of what `file` imports; `from edge import bundle` counts as edge.bundle,
    relative imports are resolved.
    """
    package = file.relative_to(root).parent.parts
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"), str(file))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            source = ".".join((*above, *filter(None, [node.module])))
            is_package = (root / Path(*source.split("."))).is_dir()
            yield from (f"{source}.{alias.name}" if is_package else source for alias in node.names)


def _within(name: str, *allowed: str) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in allowed)


def _offences(root: Path, folder: str, *, of: str, allowed: tuple[str, ...]) -> list[str]:
    """Imports of the package `of` by the modules in `folder`, but for those `allowed`."""
    return [
        f"{file.relative_to(root)} imports {name}"
        for file in _modules(root, folder)
        for name in _imports(file, root)
        if _within(name, of) and not _within(name, *allowed)
    ]


def test_the_bundle_needs_arrays_and_little_else(root: Path) -> None:
    for file in _modules(root, "edge/bundle"):
        for name in _imports(file, root):
            top = name.partition(".")[0]
            known = (
                top in BUNDLE_NEEDS
                or top in sys.stdlib_module_names
                or _within(name, "edge.bundle", "edge.errors", "edge.files")
            )
            assert known, f"{file.relative_to(root)} imports {name}"


@pytest.mark.parametrize(
    "heavy", ["torch", "sklearn", "pytorch_metric_learning", "tensorboard", "onnx", "onnxscript"]
)
def test_the_device_needs_nothing_of_training(root: Path, heavy: str) -> None:
    # A process of its own, which ends: neither the recorder nor the page keeps its memory.
    clustering = "edge/page/clustering.py imports "
    found = _offences(root, "edge", of=heavy, allowed=())
    assert not [one for one in found if heavy != "sklearn" or not one.startswith(clustering)]
    # Graphs are made where the network was trained or imported; a recorder installs and verifies
    # them without this package.
    makers = (
        {
            *(f"deploy/importing/{name}.py" for name in IMPORTING),
            *(f"deploy/quantize/{name}.py" for name in ("graphs", "half", "integers")),
        }
        if heavy == "onnx"
        else set()
    )
    assert not [
        offence
        for offence in _offences(root, "deploy", of=heavy, allowed=())
        if offence.split()[0] not in makers
    ]


def test_training_shares_the_bundle_with_the_device_and_nothing_else(root: Path) -> None:
    assert not _offences(root, "train", of="edge", allowed=("edge.bundle", *SHARED))


def test_deployment_sees_bundles_backends_configuration_and_topics(root: Path) -> None:
    assert not _offences(
        root,
        "deploy",
        of="edge",
        allowed=("edge.bundle", "edge.backends", "edge.config", "edge.mqtt", *SHARED),
    )


@pytest.mark.parametrize("folder", ["edge", "deploy"])
def test_nobody_imports_training(root: Path, folder: str) -> None:
    assert not _offences(root, folder, of="train", allowed=())


@pytest.mark.parametrize("folder", ["edge", "train"])
def test_nobody_imports_deployment(root: Path, folder: str) -> None:
    assert not _offences(root, folder, of="deploy", allowed=())


def _place(name: str) -> str:
    """The room or single module of its package that a dotted name is in: `edge.store` of
    `edge.store.outbox.Row`.
    """
    return ".".join(name.split(".")[:2])


def _neighbours(root: Path, package: str) -> dict[str, set[str]]:
    """For each room and single module of `package`, the others that it imports."""
    found: dict[str, set[str]] = {}
    for file in _modules(root, package):
        own = _place(".".join(file.relative_to(root).with_suffix("").parts))
        others = {_place(name) for name in _imports(file, root) if _within(name, package)}
        found.setdefault(own, set()).update(others - {own, package})
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_every_room_imports_only_what_it_may(root: Path, package: str) -> None:
    for place, others in _neighbours(root, package).items():
        allowed = MAY_IMPORT[package].get(place.partition(".")[2], "").split()
        strange = others - {f"{package}.{name}" for name in allowed}
        assert not strange, f"{place} imports {', '.join(sorted(strange))}"


@pytest.mark.parametrize("package", PACKAGES)
def test_no_two_rooms_import_each_other_directly_or_around_a_corner(
    root: Path, package: str
) -> None:
    reached = _neighbours(root, package)
    for _ in reached:  # as many rounds as the longest way can have steps
        reached = {
            place: others.union(*(reached.get(other, set()) for other in others))
            for place, others in reached.items()
        }
    assert not {place for place, others in reached.items() if place in others}


@pytest.mark.parametrize("package", PACKAGES)
def test_every_directory_says_in_its_first_line_what_it_is(root: Path, package: str) -> None:
    for file in sorted((root / package).rglob("__init__.py")):
        first = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8")))
        assert first, file
        if file.parent.parent != root:
            assert first.startswith(("Plug point: ", "Room: ")), (
                f"{file.relative_to(root)}: {first}"
            )


@pytest.mark.parametrize("package", PACKAGES)
def test_the_tests_mirror_the_rooms(root: Path, package: str) -> None:
    rooms = {
        folder.name for folder in (root / package).iterdir() if (folder / "__init__.py").is_file()
    }
    folders = {
        folder.name
        for folder in (root / "tests" / package).iterdir()
        if any(folder.glob("test_*.py"))
    }
    assert folders <= rooms, "tests of a room that is not there"
    assert {file.name for file in (root / "tests").glob("test_*.py")} == OF_ALL_PACKAGES


def test_the_demonstration_is_no_training_data(root: Path) -> None:
    for file in _modules(root, "train"):
        assert not any(_within(name, "edge.demo") for name in _imports(file, root))
        assert "demo.wav" not in file.read_text(encoding="utf-8")


def test_imports_are_seen_wherever_they_stand(root: Path, tmp_path: Path) -> None:
    """The reader itself: a late import, a relative one, and a submodule by its parent."""
    (tmp_path / "edge" / "bundle").mkdir(parents=True)
    file = tmp_path / "edge" / "bundle" / "x.py"
    file.write_text(
        "def f():\n    import torch.nn\n    from edge import bundle\nfrom .. import errors\nfrom . "
        "import y as z\n"
    )
    assert list(_imports(file, tmp_path)) == [
        "edge.errors",
        "edge.bundle.y",
        "torch.nn",
        "edge.bundle",
    ]

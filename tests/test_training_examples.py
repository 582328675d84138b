"""Training data: what each form says about an image, what is wrong with it, and the pixels it comes to."""

from __future__ import annotations

import io
import json
import os
import struct
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import rsrag
from rsrag import SceneError, UsageError
from rsrag.testing.rasters import make_geotiff, make_image
from rsrag.training import pixels as pixels_module
from rsrag.training.examples import Collected, Example, ImageRef, collect, describe, split_of, summary
from rsrag.training.pixels import cache_pixels


def image(seed: int = 0, kind: str = "JPEG", size: tuple[int, int] = (24, 16)) -> bytes:
    noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).save(out, kind)
    return out.getvalue()


def put(path: Path, data: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def tar(path: Path, files: Mapping[str, bytes | str], mode: str = "w") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            data = data.encode() if isinstance(data, str) else data
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def manifest(path: Path, *rows: dict[str, Any] | bytes) -> Path:
    return put(path, b"".join((row if isinstance(row, bytes) else json.dumps(row).encode()) + b"\n" for row in rows))


def names(c: Collected) -> list[str]:
    return [e.image.name or e.image.path.name for e in c.examples]


# -- manifests ------------------------------------------------------------------------------------


def test_a_manifest_says_all_there_is_to_say(tmp_path: Path) -> None:
    for name in ("a.jpg", "sub/b.png", "c.webp", "d.jpg"):
        put(tmp_path / name, b"x")
    path = manifest(
        tmp_path / "mine.jsonl",
        b"\xef\xbb\xbf" + json.dumps({"file": "a.jpg", "label": "port", "captions": [" a  quay ", "ships"]}).encode(),
        b"",
        b'{"image": "./sub/b.png", "caption": "two cranes", "split": "validation", "gsd_m": 0.3}\r',
        {"file": "c.webp", "label": "port", "dataset": "other", "split": "TEST", "captions": None},
        b"  \t\r",
        {"file": "d.jpg", "caption": "a pier", "captions": ["a jetty"], "split": "train", "label": None},
    )
    found = collect(path, val_share=0)
    assert found.problems == []
    assert found.examples == [
        Example(ImageRef(tmp_path / "a.jpg"), ("a quay", "ships"), "port", "mine", "train"),
        Example(ImageRef(tmp_path / "sub" / "b.png"), ("two cranes",), "", "mine", "val"),
        Example(ImageRef(tmp_path / "c.webp"), (), "port", "other", "val"),
        Example(ImageRef(tmp_path / "d.jpg"), ("a jetty", "a pier"), "", "mine", "train"),
    ]


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (b"{'file': 'a.jpg'}", "not JSON: Expecting property name"),
        (b"[" * 100_000, "not JSON: nested too deeply"),
        (b'{"file": "a.jpg", "n": ' + b"9" * 5000 + b"}", "not JSON: nested too deeply, or a number too long"),
        (b'["a.jpg", "port"]', 'not an object: ["a.jpg", "port"]'),
        (b"null", "not an object: null"),
        (b'{"lable": "port", "path": "a.jpg"}', "no file key: it has lable, path"),
        (b'{"file": "", "label": "port"}', "no file key: it has file, label"),
        (b'{"file": 3, "label": "port"}', "file is not a text: 3"),
        (b'{"file": "gone.jpg", "label": "port"}', "file missing: gone.jpg"),
        (b'{"file": "sub", "label": "port"}', "file missing: sub"),
        (b'{"file": "a\\u0000.jpg", "label": "port"}', "file missing: a\\x00.jpg"),
        (b'{"file": "\\ud800.jpg", "label": "port"}', "file missing: \\ud800.jpg"),
        (b'{"file": "' + b"n" * 5000 + b'", "label": "port"}', "file missing: nnn"),
        (b'{"file": "a.jpg"}', "neither caption nor label: a.jpg"),
        (b'{"file": "a.jpg", "captions": ["", " "]}', "neither caption nor label: a.jpg"),
        (b'{"file": "a.jpg", "captions": "a quay"}', "captions are not a list of texts: 'a quay'"),
        (b'{"file": "a.jpg", "captions": ["a quay", 3]}', "captions are not a list of texts: ['a quay', 3]"),
        (b'{"file": "a.jpg", "caption": ["a quay"]}', "caption is not a text: ['a quay']"),
        (b'{"file": "a.jpg", "label": 3}', "label is not a text: 3"),
        (b'{"file": "a.jpg", "label": "port", "dataset": 1}', "dataset is not a text: 1"),
        (b'{"file": "a.jpg", "label": "port", "split": "maybe"}', "unknown split: 'maybe' is none of train, training"),
        (b'{"file": "../outside.jpg", "label": "port"}', "outside the manifest's folder: '../outside.jpg'"),
        (b'{"file": "sub/../../outside.jpg", "label": "port"}', "outside the manifest's folder"),
        (b'{"file": "/OUTSIDE", "label": "port"}', "outside the manifest's folder: '/"),
        (b'{"file": "a.jpg", "caption": "caf\xe9"}', "not UTF-8: byte 0xe9 at column 34"),
        (b'{"file": "a.jpg", "caption": "half \\ud83d"}', "half a character: '\\ud83d' is no Unicode"),
    ],
)
def test_a_bad_row_costs_itself_and_is_named_by_its_line(tmp_path: Path, bad: bytes, why: str) -> None:
    outside = put(tmp_path / "outside.jpg", b"x")
    folder = tmp_path / "set"
    for name in ("a.jpg", "b.jpg", "c.jpg", "sub/d.jpg"):
        put(folder / name, b"x")
    good = [{"file": name, "label": "port"} for name in ("b.jpg", "c.jpg")]
    path = manifest(folder / "m.jsonl", good[0], bad.replace(b"/OUTSIDE", str(outside).encode()), good[1])
    found = collect(path)
    assert names(found) == ["b.jpg", "c.jpg"]
    [(where, said)] = found.problems
    assert where == f"{path}:2" and said.startswith(why)
    assert said.isprintable() and len(said) <= 300


def test_empty_captions_are_dropped_and_counted(tmp_path: Path) -> None:
    put(tmp_path / "a.jpg", b"x")
    path = manifest(tmp_path / "m.jsonl", {"file": "a.jpg", "captions": ["", "a quay", "\n "]})
    found = collect(path)
    assert [e.captions for e in found.examples] == [("a quay",)]
    assert found.problems == [(f"{path}:1", "empty captions dropped: 2")]


def test_a_file_named_twice_is_kept_once(tmp_path: Path) -> None:
    put(tmp_path / "a.jpg", b"x")
    rows = [{"file": "a.jpg", "label": "port"}, {"file": "./b/../a.jpg", "label": "quay"}]
    path = manifest(tmp_path / "m.jsonl", *rows)
    other = manifest(tmp_path / "n.jsonl", {"file": "a.jpg", "label": "x"}, {"file": "n.jsonl", "label": "x"})
    found = collect([path, other])
    assert [(e.image.path.name, e.label) for e in found.examples] == [("a.jpg", "port"), ("n.jsonl", "x")]
    why = "given twice: a.jpg; the first is kept"
    assert found.problems == [(f"{path}:2", why), (f"{other}:1", why)]


def test_files_that_are_not_there_are_read_from_the_tar_beside(tmp_path: Path) -> None:
    packed = {"./x/a.jpg": image(1), "x/b.jpg": image(2), "x/empty.jpg": b""}
    tar(tmp_path / "m.tar", packed)
    put(tmp_path / "c.jpg", image(3))
    rows = [{"file": f, "label": "l"} for f in ("x/a.jpg", "c.jpg", "x/b.jpg", "x/gone.jpg", "x/empty.jpg")]
    path = manifest(tmp_path / "m.jsonl", *rows)
    found = collect(path)
    assert [e.image.read() for e in found.examples] == [image(1), image(3), image(2)]
    assert [str(e.image) for e in found.examples] == [
        f"{tmp_path}/m.tar:x/a.jpg",
        f"{tmp_path}/c.jpg",
        f"{tmp_path}/m.tar:x/b.jpg",
    ]
    assert found.problems == [
        (f"{tmp_path}/m.tar:x/empty.jpg", "empty or cut short: the tar does not hold its bytes"),
        (f"{path}:4", "file missing: x/gone.jpg, in m.tar as well"),
        (f"{path}:5", "file missing: x/empty.jpg, in m.tar as well"),
    ]


def test_a_compressed_tar_beside_a_manifest_is_named_with_the_remedy(tmp_path: Path) -> None:
    tar(tmp_path / "m.tar.gz", {"a.jpg": image()}, "w:gz")
    path = manifest(tmp_path / "m.jsonl", {"file": "a.jpg", "label": "l"})
    with pytest.raises(UsageError, match=r"m\.tar\.gz is compressed, gunzip it first"):
        collect(path)


def test_a_reference_says_when_its_bytes_are_gone(tmp_path: Path) -> None:
    path = tar(tmp_path / "m.tar", {"a.jpg": image(1)})
    ref = ImageRef(path, 512, len(image(1)), "a.jpg")
    assert ref.read() == image(1)
    put(path, path.read_bytes()[:600])
    with pytest.raises(SceneError, match=r"m\.tar:a\.jpg is cut short"):
        ref.read()
    path.unlink()
    with pytest.raises(SceneError, match="is gone"):
        ref.read()


def test_names_are_shown_without_what_a_terminal_would_obey(tmp_path: Path) -> None:
    assert str(ImageRef(Path("a\x1b[2J.jpg"))) == "a\\x1b[2J.jpg"
    put(tmp_path / os.fsdecode(b"\xff.jpg"), b"x")
    put(tmp_path / "a" / "b.jpg", b"x")
    [(where, why)] = collect(tmp_path).problems
    assert where == f"{tmp_path}/\\udcff.jpg" and why == "half a character: '\\udcff' is no Unicode"


# -- folders --------------------------------------------------------------------------------------


def rows_of(c: Collected) -> list[tuple[str, str, str, tuple[str, ...]]]:
    return [(e.image.path.name, e.label, e.split, e.captions) for e in c.examples]


def test_a_folder_per_class(tmp_path: Path) -> None:
    root = tmp_path / "eurosat"
    for name in ("forest/1.JPG", "forest/deep/2.png", "river/3.tif", "river/.hidden.jpg", ".git/x/4.jpg"):
        put(root / name, b"x")
    put(root / "forest" / "1.txt", "\ufefftall trees\r\n\r\na forest\n")
    put(root / "README.md", "about")
    put(root / "LICENSE", "free")
    put(root / "river" / "3.tfw", "1")
    found = collect(root, val_share=0)
    assert found.problems == []
    assert rows_of(found) == [
        ("1.JPG", "forest", "train", ("tall trees", "a forest")),
        ("2.png", "forest", "train", ()),
        ("3.tif", "river", "train", ()),
    ]
    assert {e.dataset for e in found.examples} == {"eurosat"}


def test_a_level_of_splits_is_recognised_but_a_class_may_be_called_train(tmp_path: Path) -> None:
    for name in ("train/forest/1.jpg", "val/forest/2.jpg", "test/river/3.jpg", "annotations/none.txt"):
        put(tmp_path / "a" / name, b"x")
    for name in ("train/1.jpg", "bridge/2.jpg"):
        put(tmp_path / "b" / name, b"x")
    for name in ("train/1.jpg", "Val/2.jpg"):
        put(tmp_path / "c" / name, b"x")
        put((tmp_path / "c" / name).with_suffix(".txt"), "a ship")
    assert [r[1:3] for r in rows_of(collect(tmp_path / "a"))] == [
        ("river", "val"),
        ("forest", "train"),
        ("forest", "val"),
    ]
    assert [r[1] for r in rows_of(collect(tmp_path / "b"))] == ["bridge", "train"]
    assert [r[1:] for r in rows_of(collect(tmp_path / "c"))] == [("", "val", ("a ship",)), ("", "train", ("a ship",))]
    one = collect(tmp_path / "a" / "train")
    assert [(e.dataset, e.label, e.split) for e in one.examples] == [("a", "forest", "train")]


def test_a_folder_reports_what_it_cannot_use(tmp_path: Path) -> None:
    put(tmp_path / "loose.jpg", b"x")
    put(tmp_path / "port" / "a.jpg", b"x")
    put(tmp_path / "port" / "a.txt", b"caf\xe9")
    put(tmp_path / "port" / "b.jpg", b"x")
    put(tmp_path / "port" / "b.txt", b"\n")
    put(tmp_path / "port" / "c.jpg", b"x")
    put(tmp_path / "port" / "c.txt", b"x" * 1_000_001)
    put(tmp_path / "port" / "notes.csv", b"x")
    put(tmp_path / "port" / "data.h5", b"x")
    (tmp_path / "port" / "again").symlink_to(tmp_path)
    found = collect(tmp_path, val_share=0)
    assert rows_of(found) == [(f"{n}.jpg", "port", "train", ()) for n in "abc"]
    assert found.problems == [
        (f"{tmp_path}/loose.jpg", "neither caption nor label: loose.jpg"),
        (f"{tmp_path}/port/a.txt", "not UTF-8: byte 0xe9 at column 4"),
        (f"{tmp_path}/port/b.jpg", "empty captions dropped: 1"),
        (f"{tmp_path}/port/c.txt", "too long for captions: 1,000,001 bytes"),
        (str(tmp_path), "files of other kinds left out: .csv (1), .h5 (1)"),
    ]


# -- webdataset -----------------------------------------------------------------------------------


def test_a_webdataset_tar(tmp_path: Path) -> None:
    path = tar(
        tmp_path / "set-000003.tar",
        {
            "d/a.jpg": image(1),
            "d/a.txt": "two ships",
            "b.webp": image(2, "WEBP"),
            "b.json": '{"captions": ["a quay"], "label": "port", "split": "val", "url": "x"}',
            "b.cls": "7",
            "c.v1.jpg": image(3),
            "e.PNG": image(4, "PNG"),
            "e.cls": "forest\n",
            "._e.PNG": b"x",
            "f.jpg": image(5),
            "g.jpg": image(6),
            "g.png": image(6, "PNG"),
            "g.txt": "two of them",
            "h.jpg": image(7),
            "h.json": '{"label": 3}',
            "i.txt": "no image",
            "": "no name",
        },
    )
    with tarfile.open(path, "a") as archive:
        for name, kind in (("d", tarfile.DIRTYPE), ("j.jpg", tarfile.SYMTYPE)):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "a.jpg"
            archive.addfile(member)
    found = collect(path, val_share=0)
    assert [(e.image.name, e.label, e.split, e.captions, e.dataset) for e in found.examples] == [
        ("d/a.jpg", "", "train", ("two ships",), "set"),
        ("b.webp", "port", "val", ("a quay",), "set"),
        ("e.PNG", "forest", "train", (), "set"),
    ]
    assert found.examples[1].image.read() == image(2, "WEBP")
    assert found.problems == [
        (f"{path}:j.jpg", "not a plain file: links, devices and sparse files stay out"),
        (f"{path}:c", "not one image in the sample: .v1.jpg"),
        (f"{path}:f", "neither caption nor label: f.jpg"),
        (f"{path}:g", "not one image in the sample: .jpg .png .txt"),
        (f"{path}:h", "label is not a text: 3"),
        (f"{path}:i", "not one image in the sample: .txt"),
        (f"{path}:.", "not one image in the sample: ."),
    ]


def test_shards_by_folder_glob_and_braces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "rs"
    for n in range(3):
        tar(root / f"{n:03}.tar", {f"{n}.jpg": image(n), f"{n}.cls": "x"})
    tar(root / "val-0.tar", {"v.jpg": image(9), "v.cls": "x"})
    everything = collect(root, val_share=0)
    assert [(e.image.name, e.dataset, e.split) for e in everything.examples] == [
        *((f"{n}.jpg", "rs", "train") for n in range(3)),
        ("v.jpg", "rs", "val"),
    ]
    assert names(collect(f"{root}/[0-9]*.tar")) == ["0.jpg", "1.jpg", "2.jpg"]
    assert names(collect(f"{root}/{{000..001}}.tar")) == ["0.jpg", "1.jpg"]
    assert names(collect(f"{root}/{{val-0,002}}.tar")) == ["v.jpg", "2.jpg"]
    holed = collect(f"{root}/{{001..004}}.tar")
    assert names(holed) == ["1.jpg", "2.jpg"]
    assert holed.problems == [(f"{root}/{n}.tar", "there is no such file or folder") for n in ("003", "004")]
    monkeypatch.chdir(tmp_path)
    assert names(collect("rs/*1.tar")) == ["1.jpg"]
    (tmp_path / "odd{1,2}[x].tar").write_bytes((root / "000.tar").read_bytes())
    assert names(collect("odd{1,2}[x].tar")) == ["0.jpg"]


def test_a_compressed_shard_among_plain_ones_costs_itself(tmp_path: Path) -> None:
    tar(tmp_path / "0.tar", {"a.jpg": image(), "a.cls": "x"})
    tar(tmp_path / "1.tar.gz", {"b.jpg": image(), "b.cls": "x"}, "w:gz")
    tar(tmp_path / "2.tar", {"c.jpg": image(), "c.cls": "x"}, "w:xz")
    found = collect(tmp_path)
    why = "compressed: only plain tars are read in place; gunzip it first"
    assert names(found) == ["a.jpg"]
    assert found.problems == [(f"{tmp_path}/1.tar.gz", why), (f"{tmp_path}/2.tar", why)]


@pytest.mark.parametrize("where", ["inside a file", "between files", "without an end", "in a header", "not a tar"])
def test_a_damaged_tar_gives_what_stands_before_the_damage(tmp_path: Path, where: str) -> None:
    path = tar(
        tmp_path / "s.tar",
        {f"{n}{end}": image(n) if end == ".jpg" else "x" for n in range(4) for end in (".jpg", ".cls")},
    )
    data = path.read_bytes()
    with tarfile.open(path) as archive:
        two = archive.getmember("2.jpg")
    cut = {
        "inside a file": data[: two.offset_data + 100],
        "between files": data[: two.offset],
        "without an end": data[: data.index(b"3.cls") + 1024],
        "in a header": data[: two.offset] + b"\xff" * 512 + data[two.offset_data :],
        "not a tar": b"\xff" * 4096,
    }
    path.write_bytes(cut[where])
    if where == "not a tar":
        with pytest.raises(UsageError, match=r"damaged or cut short: .*; 0 files could be found"):
            collect(path)
        return
    found = collect(path)
    assert names(found) == [f"{n}.jpg" for n in ("0123" if where == "without an end" else "01")]
    assert all(e.image.read() for e in found.examples)
    assert (str(path), "damaged or cut short") in [(at, why.partition(":")[0]) for at, why in found.problems]


def test_a_tar_with_a_malformed_sparse_map_is_no_crash(tmp_path: Path) -> None:
    path = tmp_path / "s.tar"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for name, extra in (("a.jpg", {}), ("a.cls", {}), ("b.jpg", {"GNU.sparse.map": "x,y", "GNU.sparse.size": "z"})):
            member = tarfile.TarInfo(name)
            member.size, member.pax_headers = 3, extra
            archive.addfile(member, io.BytesIO(b"abc"))
    found = collect(path)
    assert names(found) == ["a.jpg"]
    assert [why.partition(":")[0] for _, why in found.problems] == ["damaged or cut short"]


# -- what cannot be started with -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("gone.jsonl", r"gone\.jsonl gives nothing to train on \(there is no such file or folder\)"),
        ("empty.jsonl", r"empty\.jsonl gives nothing to train on \(it is empty\)"),
        ("bad.jsonl", r"bad\.jsonl gives nothing to train on \(.*bad\.jsonl:1: not JSON"),
        ("hollow", r"hollow gives nothing to train on \(it is empty\)"),
        ("table.csv", r"neither a \.jsonl manifest, a folder nor a tar"),
        ("*.nothing", r"no file matches .*\*\.nothing"),
        ("x**y", r"x\*\*y is no path"),
        ("nul\0.jsonl", "there is no such file or folder"),
        ("n" * 300 + ".jsonl", "cannot be read: File name too long"),
        ("{0..99999999}.tar", "names more than 100,000 paths"),
    ],
)
def test_nothing_to_train_on_is_an_error_that_says_why(tmp_path: Path, what: str, says: str) -> None:
    put(tmp_path / "empty.jsonl", "\n \n")
    put(tmp_path / "bad.jsonl", "file,label\n")
    put(tmp_path / "table.csv", "file,label\n")
    (tmp_path / "hollow").mkdir()
    put(tmp_path / "fine" / "port" / "a.jpg", b"x")
    with pytest.raises(UsageError, match=says) as caught:
        collect([tmp_path / "fine", f"{tmp_path}/{what}"])
    assert caught.value.hint


def test_arguments_are_checked(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no data"):
        collect([])
    for share in (-0.1, 1, float("nan")):
        with pytest.raises(UsageError, match="is not a share"):
            collect(tmp_path, val_share=share)


# -- for people -----------------------------------------------------------------------------------


def test_describe_counts_what_there_is() -> None:
    ref = ImageRef(Path("a"))
    examples = [
        Example(ref, ("x", "y"), "port", "one", "train"),
        Example(ref, ("x",), "port", "two", "val"),
        *[Example(ref, (), "quay", "two")] * 1200,
    ]
    assert describe(Collected(examples, [("a", "b")])) == (
        "2 data sets, 1,202 images (1,201 train, 1 val), 3 classes, 3 captions (2 different); 1 problem"
    )
    assert describe(Collected([Example(ref, ("x",))], [])) == (
        "1 data set, 1 image (1 train, 0 val), 0 classes, 1 caption (1 different)"
    )


def test_many_problems_are_summed_up_by_kind() -> None:
    few = [(f"m:{n}", f"file missing: {n}.jpg") for n in range(50)]
    assert summary(few) == [f"m:{n}: file missing: {n}.jpg" for n in range(50)]
    assert summary([("m:0", "not JSON: x at column 1"), *few]) == [
        "50 x file missing; the first is m:0: file missing: 0.jpg",
        "1 x not JSON; the first is m:0: not JSON: x at column 1",
    ]
    assert summary([]) == []


# -- properties -----------------------------------------------------------------------------------


@given(st.text(max_size=30), st.text(max_size=10), st.floats(0, 1), st.floats(0, 1), st.integers())
def test_a_split_rests_on_the_name_alone_and_a_larger_share_only_adds(
    name: str, dataset: str, a: float, b: float, seed: int
) -> None:
    name, dataset = (t.encode(errors="replace").decode() for t in (name, dataset))
    low, high = sorted((a, b))
    first = split_of(name, dataset, low, seed)
    assert first == split_of(name, dataset, low, seed)
    assert first == "train" or split_of(name, dataset, high, seed) == "val"
    assert split_of(name, dataset, 0, seed) == "train" and split_of(name, dataset, 1, seed) == "val"


@given(st.floats(0.02, 0.98), st.integers(0, 10_000), st.sampled_from(["ucm", "aid", ""]))
@settings(max_examples=25)
def test_the_share_of_validation_is_about_right(share: float, seed: int, dataset: str) -> None:
    n = 2000
    val = sum(split_of(f"{dataset}/class/{i:04}.jpg", dataset, share, seed) == "val" for i in range(n))
    assert abs(val - n * share) < 5 * (n * share * (1 - share)) ** 0.5  # five standard deviations


def test_files_keep_their_split_when_others_are_added(tmp_path: Path) -> None:
    def splits(count: int) -> dict[str, str]:
        for n in range(count):
            put(tmp_path / "set" / f"class{n % 3}" / f"{n}.jpg", b"x")
        return {str(e.image): e.split for e in collect(tmp_path / "set", val_share=0.3).examples}

    before, after = splits(60), splits(90)
    assert len(after) == 90 and before.items() <= after.items()
    assert set(before.values()) == {"train", "val"}


MANY = 12
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["file", "image", "label", "captions", "split", "x"]), inner, max_size=4)
    ),
    max_leaves=8,
)
junk_lines = (
    st.binary(min_size=1, max_size=40).map(lambda b: b.replace(b"\n", b"-"))
    | json_values.map(lambda v: json.dumps(v).encode())
    | st.sampled_from([b'{"file": "gone.jpg", "label": "x"}', b'{"file": "0.jpg"', b'{"file": "0.jpg", "label": []}'])
).filter(lambda line: bool(line.strip(b" \t\r\xef\xbb\xbf")))  # a blank line is no row


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packed")
    return tar(folder / "m.tar", {f"{n}.jpg": b"x" for n in range(MANY)})


@given(lines=st.lists(st.just(b"") | junk_lines, max_size=12), order=st.randoms(use_true_random=False))
@settings(max_examples=80)
def test_good_rows_survive_any_junk_and_every_bad_row_is_reported(packed: Path, lines: list[bytes], order: Any) -> None:
    good = [json.dumps({"file": f"{n}.jpg", "caption": f"image {n}"}).encode() for n in range(MANY)]
    rows = [(line, True) for line in good] + [(line, False) for line in lines]
    order.shuffle(rows)
    path = manifest(packed.with_suffix(".jsonl"), *(line for line, _ in rows))
    found = collect(path)
    assert names(found) == [json.loads(line)["file"] for line, fine in rows if fine]
    bad = [f"{path}:{number}" for number, (line, fine) in enumerate(rows, 1) if line and not fine]
    assert [where for where, _ in found.problems] == bad
    assert all(why and why.isprintable() for _, why in found.problems)


# -- pixels ---------------------------------------------------------------------------------------


def as_encoded(path: Path, side: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """What an encoder of that size would look at."""
    return np.asarray(Image.fromarray(rsrag.open_scene(path).rgb(512)).resize((side, side), Image.Resampling.LANCZOS))


def of(*paths: Path) -> list[Example]:
    return [Example(ImageRef(p), (), "x") for p in paths]


def test_pixels_are_what_the_encoder_sees_wherever_the_bytes_are(tmp_path: Path) -> None:
    files = [
        make_image(tmp_path / "a.jpg", size=(700, 300)),
        make_image(tmp_path / "b.webp", seed=1),
        make_geotiff(tmp_path / "c.tif", bands=4, dtype="uint16", seed=2),
        make_image(tmp_path / "d.png", seed=3, size=(16, 16)),
    ]
    packed = tar(tmp_path / "t.tar", {f"{f.name}": f.read_bytes() for f in files} | {"x.cls": "x"})
    with tarfile.open(packed) as archive:
        members = [archive.getmember(f.name) for f in files]
    inside = [Example(ImageRef(packed, m.offset_data, m.size, m.name), (), "x") for m in members]
    calls: list[tuple[int, int]] = []
    pixels, kept, problems = cache_pixels(of(*files) + inside, 32, tmp_path / "cache", lambda *c: calls.append(c))
    assert isinstance(pixels, np.memmap) and pixels.shape == (8, 32, 32, 3) and pixels.dtype == np.uint8
    assert kept == list(range(8)) and problems == [] and calls == [(8, 8)]
    for row, file in zip(pixels, files * 2, strict=True):
        assert np.array_equal(row, as_encoded(file, 32))


def bomb() -> bytes:
    """A PNG of a few bytes that claims 900 million pixels."""

    def part(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = part(b"IHDR", struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + part(b"IDAT", zlib.compress(bytes(1000))) + part(b"IEND", b"")


def test_unreadable_images_are_listed_and_the_rest_stays_in_step(tmp_path: Path) -> None:
    good = [make_image(tmp_path / f"{n}.png", seed=n) for n in range(3)]
    secret = make_geotiff(tmp_path / "secret" / "s.tif")
    vrt = (
        '<VRTDataset rasterXSize="4" rasterYSize="4"><VRTRasterBand dataType="Byte" band="1"><SimpleSource>'
        f'<SourceFilename relativeToVRT="0">{secret}</SourceFilename><SourceBand>1</SourceBand></SimpleSource>'
        "</VRTRasterBand></VRTDataset>"
    )
    packed = tar(tmp_path / "t.tar", {"sneaky.tif": vrt, "cut.jpg": image()[:200]})
    with tarfile.open(packed) as archive:
        sneaky, cut = archive.getmembers()
    examples = [
        *of(good[0], put(tmp_path / "bomb.png", bomb()), good[1], tmp_path / "gone.jpg", put(tmp_path / "t.jpg", "hi")),
        Example(ImageRef(packed, sneaky.offset_data, sneaky.size, "in/sneaky.tif"), (), "x"),
        Example(ImageRef(packed, cut.offset_data, cut.size, "in/cut.jpg"), (), "x"),
        *of(good[2]),
    ]
    for _ in range(2):  # from the images, then from the cache
        pixels, kept, problems = cache_pixels(examples, 16, tmp_path / "cache")
        assert kept == [0, 2, 7] and pixels.shape == (3, 16, 16, 3)
        assert all(np.array_equal(row, as_encoded(file, 16)) for row, file in zip(pixels, good, strict=True))
        assert [where for where, _ in problems] == [str(examples[i].image) for i in (1, 3, 4, 5, 6)]
        whys = [why.partition(": ") for _, why in problems]
        assert {kind for kind, _, _ in whys} == {"unreadable"}
        assert [" ".join(why.split()[:3]) for _, _, why in whys] == [
            "bomb.png claims 30,000",
            "there is no",
            "t.jpg is not",
            "sneaky.tif refers to",
            "cut.jpg is damaged",
        ]


def test_an_interrupted_run_goes_on_and_an_unchanged_one_is_not_redone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pixels_module, "_CHUNK", 4)
    files = [make_image(tmp_path / f"{n}.png", seed=n) for n in range(10)]
    put(files[1], "not an image")
    calls: list[int] = []

    def stop(done: int, of: int) -> None:
        if done == 8:
            raise KeyboardInterrupt

    def run(side: int = 8) -> list[int]:
        calls.clear()
        pixels, kept, problems = cache_pixels(of(*files), side, tmp_path / "cache", lambda done, _: calls.append(done))
        assert kept == [0, *range(2, 10)] and len(problems) == 1
        assert all(np.array_equal(row, as_encoded(files[i], side)) for row, i in zip(pixels, kept, strict=True))
        return calls

    with pytest.raises(KeyboardInterrupt):
        cache_pixels(of(*files), 8, tmp_path / "cache", stop)
    assert run() == [10]
    assert run() == []
    assert run(9) == [4, 8, 10]
    make_image(files[4], seed=99)
    assert run() == [4, 8, 10]
    (tmp_path / "cache" / "pixels-8.json").write_text('{"digest": ')
    assert run() == [4, 8, 10]
    (tmp_path / "cache" / "pixels-8.npy").write_bytes(b"x")
    assert run() == [4, 8, 10]


def test_pixels_that_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="there are no images"):
        cache_pixels([], 8, tmp_path)
    with pytest.raises(UsageError, match="0 is not a side"):
        cache_pixels(of(tmp_path / "a.jpg"), 0, tmp_path)
    with pytest.raises(UsageError, match=r"none of the 2 images can be read \(.*a\.jpg: unreadable"):
        cache_pixels(of(tmp_path / "a.jpg", tmp_path / "b.jpg"), 8, tmp_path / "cache")
    with pytest.raises(UsageError, match=r"take [\d,]+ MiB, and .* has [\d,]+ MiB left"):
        cache_pixels(of(tmp_path / "a.jpg"), 20_000_000, tmp_path / "cache")

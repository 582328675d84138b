"""What a cosine means, and when a vote may name a scene."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsrag import Chunk, Hit, Provenance, Scene
from rsrag.confidence import null_of, shares_of, strength, unsuitable, vote, z_score


def unit(rows: int, dim: int, seed: int, lean: float = 0.0) -> np.ndarray:
    """Random unit vectors, all leaning towards one direction by `lean`."""
    vectors = np.random.default_rng(seed).standard_normal((rows, dim)).astype(np.float32)
    vectors[:, 0] += lean * math.sqrt(dim)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def hit(subject: str, z: float | None, title: str = "", cosine: float = 0.0) -> Hit:
    made = Chunk(
        f"{subject}-{z}-{title}", "image", "image", 0, title or subject.title(), "", "h", Provenance("s", "r", subject)
    )
    return Hit(made, cosine, {"image-image": (1, 0.5)}, z)


# -- z-scores -------------------------------------------------------------------------------------


@pytest.mark.parametrize("dim", [16, 64, 384])
def test_unrelated_directions_have_the_mean_and_deviation_of_theory(dim: int) -> None:
    mean, deviation = null_of(unit(500, dim, 1), unit(500, dim, 2))
    assert mean == pytest.approx(0.0, abs=5 / math.sqrt(4000 * dim))
    assert deviation == pytest.approx(1 / math.sqrt(dim), rel=0.06)


def test_a_space_in_which_all_look_alike_has_a_high_mean() -> None:
    mean, deviation = null_of(unit(500, 64, 1, lean=2), unit(500, 64, 2, lean=2))
    assert mean == pytest.approx(4 / 5, abs=0.03)  # lean^2 / (1 + lean^2)
    assert z_score(0.8, (mean, deviation)) == pytest.approx(0, abs=0.6)


def test_the_same_samples_give_the_same_null_and_pairs_with_itself_do_not_count() -> None:
    rows = unit(3, 64, 1)
    assert null_of(rows, rows) == null_of(rows, rows)
    off = [float(rows[i] @ rows[j]) for i in range(3) for j in range(3) if i != j]
    assert null_of(rows, rows)[0] == pytest.approx(np.mean(off), abs=0.02)


@pytest.mark.parametrize("rows", [np.zeros((0, 8), np.float32), unit(1, 8, 1)])
def test_too_few_vectors_have_no_null(rows: np.ndarray) -> None:
    assert null_of(rows, unit(9, 8, 1)) == (0.0, 0.0) == null_of(unit(9, 8, 1), rows)
    assert z_score(0.9, (0.0, 0.0)) is None


def test_equal_vectors_have_no_null() -> None:
    same = np.repeat(unit(1, 8, 1), 5, axis=0)
    assert z_score(1.0, null_of(same, same)) is None


@pytest.mark.parametrize(
    ("cosine", "null", "z"), [(0.5, (0.1, 0.2), 2.0), (0.1, (0.1, 0.2), 0.0), (0.5, None, None), (0.5, (), None)]
)
def test_z_score(cosine: float, null: tuple[float, ...] | None, z: float | None) -> None:
    assert z_score(cosine, null) == (None if z is None else pytest.approx(z))


def test_strength_grows_with_z_and_is_fair_where_unknown() -> None:
    assert [strength(z) for z in (-1, 1.7, 1.9, 2.7, 2.9, 9)] == ["weak", "weak", "fair", "fair", "strong", "strong"]
    assert [strength(z, "image") for z in (2.5, 2.7, 3.2, 3.4)] == ["weak", "fair", "fair", "strong"]
    assert strength(None) == "fair"


# -- votes ----------------------------------------------------------------------------------------


def test_images_that_agree_name_the_scene() -> None:
    got = vote("A", [hit("port", 6.0), hit("port", 5.5), hit("port", 5.0), hit("beach", 2.0)], [hit("port", 3.0)])
    assert (got.scene, got.label, got.reason, got.z) == ("A", "port", "", 6.0)
    assert got.subjects[0][:2] == ("port", "Port") and got.subjects[0][2] > 0.9
    assert sum(share for _, _, share in got.subjects) == pytest.approx(1, abs=1e-3)


def test_a_subject_known_only_by_name_is_not_beaten_by_vaguely_similar_images() -> None:
    vague = [hit("beach", 1.9), hit("beach", 1.8), hit("desert", 1.9)]
    got = vote("A", vague, [hit("salt-pond", 4.0), hit("beach", 2.0)])
    assert got.label == "salt-pond"


def test_images_that_are_strikingly_alike_beat_a_weak_name() -> None:
    got = vote("A", [hit("port", 6.0)] * 3, [hit("salt-pond", 2.0), hit("port", 1.0)])
    assert got.label == "port"


@pytest.mark.parametrize(
    ("images", "names", "reason"),
    [
        ([], [], "no image or name in the knowledge base"),
        ([hit("", 6.0)], [hit("", 3.0)], "no image or name in the knowledge base"),
        ([hit("port", 1.0)], [hit("port", 1.2)], "nothing in the knowledge base looks much like it"),
        ([hit("port", 4.0), hit("beach", 4.0)], [], "do not agree"),
        ([hit("port", None), hit("beach", None)], [], "do not agree"),
        ([hit("port", 4.0), hit("beach", 4.0)], [hit("port", 2.0), hit("beach", 1.9)], "do not agree"),
    ],
)
def test_without_share_margin_and_likeness_there_is_no_label(images: list[Hit], names: list[Hit], reason: str) -> None:
    got = vote("A", images, names)
    assert got.label == "" and reason in got.reason


def test_the_nearest_agree_where_the_store_knows_others_too() -> None:
    near = [hit("port", 4.0)] * 3
    assert "only one subject" in vote("A", near, []).reason
    assert vote("A", near, [], others=True).label == "port"


def test_an_encoder_that_does_not_suit_says_nothing_but_why() -> None:
    got = vote("A", [hit("port", 9.0)] * 3, [], unsuitable="it is radar")
    assert (got.label, got.reason, got.subjects) == ("", "it is radar", ())


def test_a_file_that_nobody_named_does_not_name_others() -> None:
    own = [hit("file/colorado", 9.0), hit("file/a/pond_10", 8.0)]
    got = vote("A", [*own, hit("port", 5.0), hit("port", 4.9), hit("beach", 2.0)], [hit("port", 3.0)])
    assert got.label == "port" and all(not s.startswith("file/") for s, _, _ in got.subjects)


def test_at_most_five_subjects_are_listed_by_title() -> None:
    got = vote("A", [hit(f"s{n}", 3.0 + n / 10) for n in range(9)], [], titles={"s8": "Eight"})
    assert [s for s, _, _ in got.subjects] == ["s8", "s7", "s6", "s5", "s4"]
    assert [t for _, t, _ in got.subjects][:2] == ["Eight", "S7"]


zs = st.dictionaries(st.sampled_from("abcdef"), st.floats(-50, 50), min_size=1)


@given(zs, zs, st.sampled_from("abcdef"), st.floats(0.1, 20))
def test_shares_sum_to_one_and_grow_with_the_evidence(
    images: dict[str, float], names: dict[str, float], subject: str, more: float
) -> None:
    shares = shares_of(images, names)
    assert sum(shares.values()) == pytest.approx(1)
    assert set(shares) == {*images, *names}
    assert all(0 <= share <= 1 for share in shares.values())
    if subject in names:
        assert shares_of(images, {**names, subject: names[subject] + more})[subject] >= shares[subject]
    if subject in images:
        assert shares_of({**images, subject: images[subject] + more}, names)[subject] >= shares[subject]


@pytest.mark.parametrize(
    ("first", "other", "named"),
    [
        (0.99, 0.93, True),  # far from any other
        (0.995, 0.95, True),  # ten times as near
        (0.98, 0.95, False),
        (0.94, 0.5, False),  # alike, and no copy
    ],
)
def test_a_copy_of_a_landmarks_only_picture_names_it(first: float, other: float, named: bool) -> None:
    images = [hit("mill", 3.0, cosine=first), hit("quay", 2.9, cosine=other), hit("fort", 2.9, cosine=other)]
    got = vote("A", images, [hit("quay", 2.0), hit("fort", 2.0)])
    assert (got.label == "mill") is named


# -- what an encoder has not seen -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "max_gsd_m", "reason"),
    [
        ({"gsd_m": 30.0}, 8.0, "its pixels cover 30 m, and the encoder has only seen"),
        ({"gsd_m": 8.5}, 8.0, ""),
        ({"gsd_m": 10.0}, 8.0, "its pixels cover 10 m"),
        ({"bands": ("pan",), "dtype": "uint16"}, 8.0, "single band of measurements"),
        ({"gsd_m": 30.0}, None, ""),
        ({"gsd_m": None}, 8.0, ""),
        ({"bands": ("vv",), "dtype": "float32"}, None, "single band of measurements"),
        ({"bands": ("vv",), "dtype": "complex64"}, 8.0, "single band of measurements"),
        ({"bands": ("grey",), "dtype": "uint8"}, 8.0, ""),
        ({"bands": ("r", "g", "b"), "dtype": "float32"}, 8.0, ""),
    ],
)
def test_scenes_outside_what_an_encoder_has_seen(fields: dict, max_gsd_m: float | None, reason: str) -> None:  # type: ignore[type-arg]
    said = unsuitable(Scene("x.tif", 9, 9, reader=None, **fields), max_gsd_m)  # type: ignore[arg-type]
    assert (reason in said) if reason else said == ""


def picture(kind: str) -> np.ndarray:
    """uint8 (96, 96, 3) of one kind."""
    random = np.random.default_rng(1)
    coarse = random.integers(60, 190, (12, 12, 3)).repeat(8, 0).repeat(8, 1)
    photo = (coarse + random.integers(-9, 10, (96, 96, 3))).clip(0, 255)
    made = {
        "photograph": photo,
        "photograph with a black border": np.where((np.arange(96) < 60)[:, None, None], photo, 0),
        "page": np.where(random.random((96, 96, 1)) < 0.1, 0, 255) + np.zeros((96, 96, 3)),
        "ramp": np.linspace(0, 255, 96)[:, None, None] + np.zeros((96, 96, 3)),
        "noise": random.integers(0, 256, (96, 96, 3)),
        "empty": np.zeros((96, 96, 3)),
    }
    return np.asarray(made[kind]).astype(np.uint8)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("photograph", ""),
        ("photograph with a black border", ""),
        ("page", "one flat colour"),
        ("ramp", "hardly any detail"),
        ("noise", "noise"),
        ("empty", "empty"),
    ],
)
def test_what_is_no_photograph_gets_no_name(kind: str, reason: str) -> None:
    from rsrag.confidence import unphotographic

    said = unphotographic(picture(kind))
    assert (reason in said) if reason else said == ""

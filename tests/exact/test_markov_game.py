from __future__ import annotations

import dataclasses
import zipfile
from pathlib import Path

import numpy as np
import pytest

from sparring.errors import InputError
from sparring.exact import markov_game
from sparring.exact.markov_game import MarkovGame, load, random_game, save


@pytest.fixture(scope="module")
def game() -> MarkovGame:
    return random_game(2, S=3, A=3, B=2, gamma=0.8, k=2).game


def test_random_game_draws_what_the_recipe_says() -> None:
    """The recipe again, entry by entry; the golden values of tests/exact hold only for these draws."""
    S, A, B, k = 3, 2, 4, 2
    game, benign, nu, alpha = random_game(5, S, A, B, 0.9, k, "random")
    rng = np.random.default_rng(5)
    U, K, R, q = rng.random((S, A, B, S)), rng.random((S, A, B, S)), rng.random((S, A, B)), rng.random(S)
    for index in np.ndindex(S, A, B):
        kept = sorted(range(S), key=lambda t, index=index: K[index][t])[:k]
        weight = np.array([-np.log1p(-U[index][t]) if t in kept else 0 for t in range(S)])
        np.testing.assert_allclose(game.P[index], weight / weight.sum(), rtol=1e-14)
    np.testing.assert_array_equal(game.r, R)
    np.testing.assert_allclose(game.rho, np.log1p(-q) / np.log1p(-q).sum(), rtol=1e-14)
    for policy, width in ((benign, B), (nu, A), (alpha, B)):
        weight = -np.log1p(-rng.random((S, width)))
        np.testing.assert_allclose(policy, weight / weight.sum(axis=1, keepdims=True), rtol=1e-14)
    other = random_game(5, S, A, B, 0.9, k, "uniform")
    np.testing.assert_array_equal(other.game.rho, np.full(S, 1 / S))
    np.testing.assert_array_equal(other.benign, benign)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"P": np.ones((2, 1, 1, 2)) * 0.6}, r"P\[0, 0, 0\]: expected probabilities that sum to 1, got a sum of 1.2"),
        (
            {"P": np.array([[[[1.0, 0.0]]], [[[1.5, -0.5]]]])},
            r"P\[1, 0, 0\]: expected probabilities \(finite",
        ),
        ({"P": np.ones((2, 1, 1, 3))}, r"P must be \[2, 1, 1, 2\], got \[2, 1, 1, 3\]"),
        ({"r": np.zeros((2, 1))}, r"expected r of shape \[S, A, B\], got \[2, 1\]"),
        ({"r": np.array([[[0.0]], [[np.nan]]])}, r"r has a NaN or an infinity at \[1, 0, 0\]"),
        ({"r": np.full((2, 1, 1), 1e308)}, r"payoffs of up to 1e\+308 over 10 steps: expected at most 1e\+30 in all"),
        ({"r": np.full((2, 1, 1), -2e29)}, r"payoffs of up to 2e\+29 over 10 steps: expected at most 1e\+30 in all"),
        ({"r": np.full((2, 1, 1), 1e-31)}, "payoffs of up to 1e-31: expected at least 1e-30, or 0: multiply all"),
        ({"rho": np.array([0.5, 0.4])}, "rho: expected probabilities that sum to 1, got a sum of 0.9"),
        ({"rho": np.ones(1)}, r"rho must be \[2\]"),
        ({"gamma": 1.0}, r"gamma in \[0, 1\), got 1.0"),
        ({"gamma": float("nan")}, "gamma"),
    ],
)
def test_refuses_what_is_no_game(change: dict, message: str) -> None:
    fields = {
        "P": np.full((2, 1, 1, 2), 0.5),
        "r": np.zeros((2, 1, 1)),
        "rho": np.array([1.0, 0.0]),
        "gamma": 0.9,
    }
    MarkovGame(**fields)
    with pytest.raises(InputError, match=message):
        MarkovGame(**(fields | change))


def test_random_game_refuses_sizes() -> None:
    with pytest.raises(InputError, match="1 <= k <= S"):
        random_game(0, S=2, A=2, B=2, gamma=0.9, k=3)
    with pytest.raises(InputError, match="unknown start distribution"):
        random_game(0, 2, 2, 2, 0.9, 1, rho="unifrom")  # pyright: ignore[reportArgumentType]  # a wrong name on purpose


def test_a_game_cannot_be_changed(game: MarkovGame) -> None:
    with pytest.raises(ValueError, match="read-only"):
        game.r[0] = 0


def test_save_and_load(game: MarkovGame, tmp_path: Path) -> None:
    save(tmp_path / "game.npz", game)
    again = load(tmp_path / "game.npz")
    for field in dataclasses.fields(game):
        np.testing.assert_array_equal(getattr(again, field.name), getattr(game, field.name))
    assert [path.name for path in tmp_path.iterdir()] == ["game.npz"]


def test_a_failed_save_leaves_what_was_there(game: MarkovGame, tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(InputError, match=r"cannot write .*taken: Is a directory"):
        save(tmp_path / "taken", game)
    with pytest.raises(InputError, match=r"cannot write .*game.npz: No such file or directory"):
        save(tmp_path / "nowhere" / "game.npz", game)
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_load_refuses_files(game: MarkovGame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "game.npz"
    with pytest.raises(InputError, match="there is no such file"):
        load(path)
    save(path, game)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="cannot be read"):
        load(path)
    path.write_bytes(whole)
    monkeypatch.setattr(markov_game, "MAX_BYTES", 100)
    with pytest.raises(InputError, match="expected at most 100 bytes"):
        load(path)
    monkeypatch.undo()
    np.savez(path, P=game.P, r=game.r)
    with pytest.raises(InputError, match="there is no gamma"):
        load(path)
    np.savez(path, P=np.array([{}], dtype=object), r=game.r, rho=game.rho, gamma=0.5)
    with pytest.raises(InputError, match="cannot be read"):
        load(path)
    np.savez(path, P=game.P, r=game.r, rho=np.array(["a", "b", "c"]), gamma=0.5)
    with pytest.raises(InputError, match="arrays of real numbers"):
        load(path)
    np.savez(path, P=game.P, r=game.r, rho=game.rho, gamma=1.5)
    with pytest.raises(InputError, match=r"game.npz: .*gamma in \[0, 1\)"):
        load(path)
    np.savez(path, P=game.P, r=game.r, rho=game.rho, gamma=[0.5, 0.5])
    with pytest.raises(InputError, match="gamma: expected one number, got 2"):
        load(path)
    np.savez(path, P=game.P, r=game.r, rho=game.rho, gamma=0.5, mask=np.ones(3))
    with pytest.raises(InputError, match="expected the arrays P, r, rho and gamma alone, there is mask, too"):
        load(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("P.npy", b"not an array")
    with pytest.raises(InputError, match="there is no gamma"):
        load(path)


def test_games_of_float32_are_read(game: MarkovGame, tmp_path: Path) -> None:
    """What another program saved in single precision: rows miss 1 by some 1e-8, and are divided by their sums."""
    single = {name: getattr(game, name).astype(np.float32) for name in ("P", "r", "rho")}
    single["rho"][:] = np.float32(1) / 3
    np.savez(tmp_path / "single.npz", **single, gamma=np.float32(game.gamma))
    read = load(tmp_path / "single.npz")
    assert np.abs(single["P"].astype(float).sum(axis=-1) - 1).max() > 1e-9
    np.testing.assert_allclose(read.P.sum(axis=-1), 1, rtol=0, atol=1e-15)
    np.testing.assert_array_equal(read.rho, np.full(3, 1 / 3))


def test_less_than_nothing_by_rounding_is_nothing() -> None:
    P = np.array([[[[1.0, -1e-17]]], [[[0.0, 1.0]]]])
    game = MarkovGame(P, np.zeros((2, 1, 1)), np.array([1 + 1e-7, -1e-7]), 0.5)
    assert game.P[0, 0, 0].tolist() == [1, 0] and game.rho.tolist() == [1, 0]

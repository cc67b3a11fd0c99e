"""Small fits on one thread of BLAS, whoever else fits at the time."""

import threading

import numpy as np
import pytest
from scipy import sparse
from threadpoolctl import threadpool_info, threadpool_limits

from labelwise.models import fit_threads


def blas():
    return {one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"}


@pytest.fixture(autouse=True)
def two_threads():
    with threadpool_limits(2):
        yield


@pytest.mark.parametrize("shape", [(160, 12), (512, 3), (100, 2000)])
def test_a_small_fit_has_one_thread_and_gives_the_others_back(shape):
    with fit_threads(np.zeros(shape)):
        assert blas() == {1}
    assert blas() == {2}


@pytest.mark.parametrize("X", [np.zeros((600, 3)), np.zeros((100, 3000)), sparse.eye(9).tocsr(), ["a text"]])
def test_others_keep_theirs(X):
    with fit_threads(X):
        assert blas() == {2}


def test_fits_side_by_side_give_the_threads_back():
    X, first_ended, entered = np.zeros((9, 2)), threading.Event(), threading.Event()
    seen = []

    def second():
        with fit_threads(X):
            seen.append(blas())
            entered.set()
            first_ended.wait(10)
        seen.append(blas())

    thread = threading.Thread(target=second)
    with fit_threads(X):
        thread.start()
        assert entered.wait(10)
    first_ended.set()
    thread.join()
    assert seen == [{1}, {2}]
    assert blas() == {2}


def test_a_fit_inside_another_lifts_no_limit():
    X = np.zeros((9, 2))
    with fit_threads(X):
        with fit_threads(X):
            pass
        assert blas() == {1}
    assert blas() == {2}


def test_a_fit_that_fails_gives_them_back():
    with pytest.raises(ValueError, match="no fit"), fit_threads(np.zeros((9, 2))):
        raise ValueError("no fit")
    assert blas() == {2}

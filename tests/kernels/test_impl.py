import warnings

import pytest
import torch

from numina_kernels import ImplementationError, biased_attention
from numina_kernels import impl as impls
from numina_kernels.impl import Impl, resolve
from numina_kernels.testing import make_qkv


def test_a_cpu_without_the_extension_runs_eager_in_silence(only_eager):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert resolve(None, "cpu") is Impl.EAGER


def test_a_gpu_without_triton_runs_eager_and_says_so_once(only_eager):
    with pytest.warns(UserWarning, match="runs impl 'eager' on cuda.*install triton"):
        assert resolve(None, "cuda") is Impl.EAGER
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert resolve(None, "cuda") is Impl.EAGER


@pytest.fixture
def asked_again():
    """What is installed is found out anew, within the test and after it."""
    impls.is_installed.cache_clear()
    impls._default.cache_clear()
    yield
    impls.is_installed.cache_clear()
    impls._default.cache_clear()


@pytest.mark.parametrize(
    ("absent", "impl", "device"), [("triton", "triton", "cuda"), ("._cpu", "cpu", "cpu")]
)
def test_what_cannot_be_imported_is_not_installed(monkeypatch, asked_again, absent, impl, device):
    find_spec = impls.find_spec
    monkeypatch.setattr(
        impls, "find_spec", lambda name, at=None: None if name == absent else find_spec(name, at)
    )
    assert not impls.is_installed(Impl(impl))
    with pytest.raises(ImplementationError, match=f"'{impl}' is not installed: .*impl='eager'"):
        resolve(impl, device)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert resolve(None, device) is Impl.EAGER


@pytest.mark.parametrize("device", ["mps", "xpu", "meta"])
def test_a_device_without_kernels_of_its_own_runs_eager_in_silence(asked_again, device):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert resolve(None, device) is Impl.EAGER


@pytest.mark.parametrize(
    ("found", "expected"), [("3.5.1", False), ("3.6.0", True), ("3.10.0+git1", True), ("4.0", True)]
)
def test_an_old_triton_counts_as_none(monkeypatch, asked_again, found, expected):
    monkeypatch.setattr(impls, "find_spec", lambda *_: object())
    monkeypatch.setattr(impls, "version", lambda _: found)
    assert impls.is_installed(Impl.TRITON) is expected


def test_the_best_installed_implementation_is_the_default(only_eager, monkeypatch):
    monkeypatch.setattr(impls, "is_installed", lambda impl: True)
    assert resolve(None, "cuda") is Impl.TRITON
    assert resolve(None, "cpu") is Impl.CPU


@pytest.mark.parametrize("absent", [Impl.TRITON, Impl.CPU])
def test_an_absent_implementation_is_refused_with_advice(only_eager, absent):
    query, key, value = make_qkv(1, 4, 4, 1, 8, dtype=torch.float32)
    with pytest.raises(ImplementationError, match=f"'{absent.value}' is not installed: .*install"):
        biased_attention(query, key, value, impl=absent)


@pytest.mark.parametrize("queries", [4, 0])
def test_an_unknown_implementation_is_refused_even_for_empty_input(queries):
    query, key, value = make_qkv(1, queries, 4, 1, 8, dtype=torch.float32)
    with pytest.raises(ImplementationError, match="unknown impl 'cuda'; expected one of triton"):
        biased_attention(query, key, value, impl="cuda")


def test_an_implementation_can_be_named_by_its_word():
    query, key, value = make_qkv(1, 4, 4, 1, 8, dtype=torch.float32)
    by_word, _ = biased_attention(query, key, value, impl="eager")
    by_member, _ = biased_attention(query, key, value, impl=Impl.EAGER)

    assert torch.equal(by_word, by_member)

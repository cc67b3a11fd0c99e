"""A bounded build costs no imports: a model is loaded by every command that predicts."""

from __future__ import annotations

from labelwise.models import Allowance


def test_the_bound_is_not_wrapped_in_what_imports_torchs_compiler() -> None:
    assert not hasattr(Allowance.__torch_dispatch__, "__wrapped__")

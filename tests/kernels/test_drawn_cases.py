"""Every operation of every implementation against the float64 oracle, on drawn inputs.

Fifty cases of each operation and dtype, five hundred in ``make test-all``. The long run by itself,
with a result file of how many cases there were and which share of its budget the worst error took:

    python -m pytest tests/kernels/test_drawn_cases.py -m exhaustive --drawn-cases-out FILE
"""

import json

import pytest
from hypothesis import HealthCheck, assume, given, settings

from tests.kernels.drawn_cases import CHECKS, DTYPES, cases, is_refused
from tests.kernels.drawn_results import write_results

FAST = 50

pytestmark = pytest.mark.slow

on_every_operation = pytest.mark.parametrize("operation", CHECKS)
in_every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)


def shares_of_budgets(count, operation, dtype, impl):
    """Check so many cases; the largest share of a budget that each of them took."""
    shares = []

    @settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        # A busy machine is no fault of the inputs.
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(case=cases())
    def check(case):
        assume(not is_refused(case, dtype, impl))
        shares.append(CHECKS[operation](case, dtype, impl))

    check()
    return shares


@in_every_dtype
@on_every_operation
def test_every_case_stays_within_the_error_of_plain_torch(operation, dtype, drawn_impl):
    shares = shares_of_budgets(FAST, operation, dtype, drawn_impl)

    assert len(shares) >= FAST
    assert 0.0 < max(shares) <= 1.0


@pytest.mark.exhaustive
@pytest.mark.timeout(7200)
@in_every_dtype
@on_every_operation
def test_hundreds_of_cases_stay_within_the_error_of_plain_torch(
    operation, dtype, drawn_impl, drawn_count, drawn_rows
):
    shares = shares_of_budgets(drawn_count, operation, dtype, drawn_impl)

    assert len(shares) >= drawn_count
    # Only what has passed gets into the result file.
    drawn_rows.append(
        {
            "operation": operation,
            "dtype": str(dtype).removeprefix("torch."),
            "impl": drawn_impl.value,
            "cases": len(shares),
            "worst_share_of_budget": max(shares),
        }
    )


def test_a_result_file_holds_the_rows_and_is_never_overwritten(tmp_path):
    file = tmp_path / "deeper" / "drawn-cases.json"
    rows = [{"operation": "token_probs", "cases": 3}]

    write_results(file, 3, rows)

    result = json.loads(file.read_text())
    assert result["rows"] == rows
    assert "--drawn-cases 3" in result["command"]
    assert "torch" in result["versions"]
    with pytest.raises(FileExistsError):
        write_results(file, 3, rows)

"""The page of a failure atlas in a real browser: keys turn the cases, the list sorts them, a row shows its case."""

from __future__ import annotations

import pytest

from Testing.Core.atlas_cases import evaluated, prepared
from training_tools.atlas import main


@pytest.fixture
def page(browser, tmp_path):
    """The atlas of five patients whose errors grow from the first to the last, opened."""
    data = prepared(tmp_path / "data", 5)
    sizes = {f"case{n}": 1.0 + n for n in range(5)}
    evaluation = evaluated(tmp_path / "made", data, sizes=sizes, cases=5)
    output = tmp_path / "atlas"
    assert main(["--task", "us2mri", "--evaluation", str(evaluation), "--data", str(data), "-o", str(output)]) == 0
    made, faults = browser.new_page(), []
    made.on("pageerror", lambda error: faults.append(str(error)))
    made.goto(f"file://{output / 'atlas.html'}")
    yield made
    made.close()
    assert not faults


def test_keys_turn_the_cases_worst_first_and_a_row_shows_its_case(page):
    def shown() -> str:
        return str(page.locator(".case:visible h3").inner_text()).split(":")[0]

    assert shown() == "P4"
    page.keyboard.press("ArrowRight")
    assert shown() == "P3"
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert shown() == "P0"
    page.locator("#patients tbody tr").nth(2).click()
    assert shown() == "P2"
    assert page.locator("#place").inner_text() == "3 of 5"
    page.select_option("#by", "ssim")
    assert shown() == "P4"
    assert page.locator(".case:visible img").count() == 5

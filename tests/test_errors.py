"""What errors say."""

from __future__ import annotations

from edged.errors import nearest, shortage, where_it_broke


def test_the_nearest_name_is_suggested():
    assert nearest("smolm2", ["tiny", "smollm2"]) == ' (did you mean "smollm2"?)'
    assert nearest("qwen", ["tiny", "smollm2"]) == ""


def test_a_name_that_begins_so_comes_before_one_that_only_looks_so():
    known = ["qwen3-1.7b", "qwen2.5-1.5b-instruct"]
    assert nearest("qwen2.5-1.5b", known) == ' (did you mean "qwen2.5-1.5b-instruct"?)'
    assert nearest("", ["tiny"]) == ""


def test_a_name_of_megabytes_is_not_compared():
    assert nearest("a" * 201, ["a" * 200]) == ""


def test_a_report_says_where_and_nothing_that_was_said():
    said = "the cake is under the bed"
    try:
        try:
            raise KeyError(said)
        except KeyError as exc:
            raise ValueError(said) from exc
    except ValueError as exc:
        report = where_it_broke(exc)
    assert report.index("KeyError\n") < report.index("ValueError\n")
    assert "test_errors.py" in report
    assert said not in report


def test_what_runs_out_is_said_and_nothing_else_taken_for_it():
    assert "MemoryMax" in shortage(MemoryError()).message
    assert "MemoryMax" in shortage(Exception("Non-zero status code: std::bad_alloc")).message
    assert "TasksMax" in shortage(RuntimeError("can't start new thread")).message
    assert shortage(RuntimeError("cannot schedule new futures after shutdown")) is None

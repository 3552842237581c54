"""Options: what users may pass in Python, and the command-line options declared by the fields."""

from __future__ import annotations

from pathlib import Path

import pytest

from gan_bench.core.errors import InputError
from gan_bench.core.option_fields import Flag
from gan_bench.core.options import Options

PYTHON_ONLY = {"cache_dir", "image_sources", "write_cache"}


def flag_of(name: str) -> Flag | None:
    return next((item for item in Options.model_fields[name].metadata if isinstance(item, Flag)), None)


def test_every_field_declares_its_command_line_option() -> None:
    flags = {name: flag_of(name) for name in Options.model_fields}
    assert {name for name, flag in flags.items() if flag is None} == PYTHON_ONLY
    for flag in filter(None, flags.values()):
        assert flag.help.endswith(".")
        assert flag.name is None or flag.name.startswith("--")
        assert flag.off is None or flag.off.startswith("--no-")
        assert flag.short is None or len(flag.short) == 2
    names = [flag.name or f"--{name.replace('_', '-')}" for name, flag in flags.items() if flag]
    assert len(names) == len(set(names))


def test_every_field_has_a_default() -> None:
    assert Options() == Options(out=Path("results/local"), jobs=1, lanes=None, executor="local")
    assert not any(field.is_required() for field in Options.model_fields.values())


@pytest.mark.parametrize("name", ["out", "data_root", "cache_dir"])
def test_paths_are_text_or_path_and_the_home_folder_is_expanded(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("HOME", "/home/user")
    for value in ("~/x", Path("~/x")):
        assert getattr(Options(**{name: value}), name) == Path("/home/user/x")
    assert getattr(Options(**{name: "x/~"}), name) == Path.cwd() / "x" / "~"
    with pytest.raises(InputError, match="there is no such home folder; type the whole path"):
        Options(**{name: "~no-such-user/x"})
    with pytest.raises(InputError, match=f"{name} '': an empty path"):
        Options(**{name: ""})


def test_plugin_paths_are_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/user")
    expected = (Path("/home/user/a.py"), Path.cwd() / "b.py")
    assert Options(plugins=("~/a.py", Path("b.py"))).plugins == expected
    assert Options(plugins=["~/a.py", "b.py"]).plugins == expected


@pytest.mark.parametrize(
    ("value", "seconds"), [(90, 90.0), (1.5, 1.5), ("90", 90.0), ("15m", 900.0), ("2h", 7200.0)]
)
def test_times_are_seconds_or_text(value: object, seconds: float) -> None:
    options = Options(run_timeout=value, checkpoint_every=value)
    assert (options.run_timeout, options.checkpoint_every) == (seconds, seconds)
    assert Options().run_timeout is None


@pytest.mark.parametrize(("value", "lanes"), [("auto", None), (None, None), (4, 4), ("4", 4)])
def test_lanes_are_a_number_or_auto(value: object, lanes: int | None) -> None:
    assert Options(lanes=value).lanes == lanes


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("jobs", 0), ("jobs", 1025), ("lanes", 0), ("lanes", "many"), ("eval_every", 0), ("retries", -1),
        ("run_timeout", 0), ("run_timeout", float("nan")), ("checkpoint_every", float("inf")), ("out", 3),
        ("cpu_kernels", "mkl"), ("offline", "perhaps"), ("plugins", "a.py"), ("device", None),
    ],
)  # fmt: skip
def test_an_invalid_value_is_an_input_error_that_names_the_field(field: str, value: object) -> None:
    with pytest.raises(InputError, match=f"Options: {field}=") as caught:
        Options(**{field: value})
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", ["", "soon", "0", "-1s", "1y"])
def test_an_invalid_time_says_what_to_type(value: str) -> None:
    with pytest.raises(InputError, match="not a time above 0; type seconds or 90s, 15m, 2h"):
        Options(run_timeout=value)


def test_an_unknown_option_is_an_input_error_with_the_closest_name() -> None:
    with pytest.raises(InputError, match=r"unknown field of Options 'retires': did you mean retries"):
        Options(retires=3)  # type: ignore[call-arg]


def test_options_are_immutable() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Options().jobs = 2  # type: ignore[misc]

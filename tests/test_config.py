"""edged.toml, drop-ins and environment: what wins, and what is refused in which words."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.config import SECTIONS, Config, environment_for, load_config
from edged.config.check import kinds_of
from edged.config.schema import RANGES, SOCKET_PATH_BYTES, parse_loopback
from edged.errors import ConfigError


def config_from(folder: Path, text: str = "", **environ: str) -> Config:
    file = folder / "edged.toml"
    file.write_text(text, encoding="utf-8")
    return load_config({"HOME": str(folder), "EDGED_CONFIG": str(file), **environ})


def test_a_machine_without_configuration_gets_the_defaults(tmp_path: Path) -> None:
    config = load_config({"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "none")})
    assert all(getattr(config, name) == cls() for name, cls in SECTIONS.items())
    assert config.paths.state == tmp_path / ".local/state/edged"
    assert config.supervisor.notify_socket == ""


def test_environment_wins_over_drop_ins_over_the_file(tmp_path: Path) -> None:
    drop_ins = tmp_path / "edged.d"
    drop_ins.mkdir()
    (drop_ins / "20-late.toml").write_text("[engine]\nmax_queued = 22\nthreads = 2\n")
    (drop_ins / "10-early.toml").write_text("[engine]\nmax_queued = 11\nmax_active = 3\n")
    (drop_ins / "ignored.toml.bak").write_text("not toml at all")
    config = config_from(
        tmp_path, "[engine]\nmax_queued = 1\nmax_active = 1\nprefill_chunk = 64\n", EDGED_ENGINE__THREADS="4"
    )
    assert config.engine.prefill_chunk == 64
    assert config.engine.max_active == 3
    assert config.engine.max_queued == 22
    assert config.engine.threads == 4


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("EDGED_DAEMON__DRAIN_SECONDS", "3", 3.0),
        ("EDGED_DAEMON__DRAIN_SECONDS", "0.5", 0.5),
        ("EDGED_DAEMON__TCP", "127.0.0.1:50051", "127.0.0.1:50051"),
        ("EDGED_ENGINE__DEFAULT", "qwen3-8b", "qwen3-8b"),
        ("EDGED_ENGINE__DEVICES", "0, 1", "0, 1"),
        ("EDGED_PRIVACY__SANDBOX", "off", False),
        ("EDGED_LOGGING__CONTENT", "TRUE", True),
        ("EDGED_LOGGING__LEVEL", "debug", "debug"),
    ],
)
def test_every_key_is_also_an_environment_variable(tmp_path: Path, name: str, text: str, expected: object) -> None:
    section, _, key = name.removeprefix("EDGED_").lower().partition("__")
    value = getattr(getattr(config_from(tmp_path, **{name: text}), section), key)
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[serverr]\nx = 1", 'unknown section [serverr] (did you mean "store"?)'),
        ("[demon]\nx = 1", 'unknown section [demon] (did you mean "daemon"?)'),
        ("socket = '/x'", 'socket stands in no section (did you mean "daemon.socket"?)'),
        ("daemon = 3", "daemon must be a table, written [daemon]"),
        ("[daemon]\nsoket = '/x'", 'unknown key daemon.soket (did you mean "socket"?)'),
        ("[daemon]\ntemperature = 1", 'unknown key daemon.temperature (did you mean "sampling.temperature"?)'),
        ("[engine]\nthreads = 'four'", "engine.threads must be a whole number, not 'four'"),
        ("[engine]\nthreads = true", "engine.threads must be a whole number, not True"),
        ("[engine]\nthreads = 1.5", "engine.threads must be a whole number, not 1.5"),
        ("[engine]\nthreads = -1", "engine.threads must be between 0 and 1024, not -1"),
        ("[engine]\ndevice = 'gpu'", "engine.device must be one of auto, cpu, cuda, tensorrt, not 'gpu'"),
        *(
            (f"[engine]\ndevices = '{text}'", "engine.devices must be numbers of GPUs from 0 to 63 with commas between")
            for text in ("a", "0,,1", "-1", "64", "0;1", "\u0661", "1" * 5000)
        ),
        ("[sampling]\ntemperature = nan", "sampling.temperature must be between 0 and 2, not nan"),
        ("[sampling]\ntop_p = 1.5", "sampling.top_p must be between 0 and 1, not 1.5"),
        ("[privacy]\nsandbox = 1", "privacy.sandbox must be true or false, not 1"),
        ("[logging]\nlevel = 'warn'", "logging.level must be one of debug, info, warning, error, not 'warn'"),
        ("[store]\nkey = 'files'", """not 'files' (did you mean "file"?)"""),
        ("[daemon]\ntcp = '0.0.0.0:50051'", "daemon.tcp must name a loopback address such as 127.0.0.1 or [::1], not"),
        ("[daemon]\ntcp = 'example.org:50051'", "daemon.tcp must name a loopback address"),
        ("[daemon]\ntcp = '127.0.0.1'", "daemon.tcp must be HOST:PORT with a port from 0 to 65535"),
        ("[daemon]\ntcp = '127.0.0.1:99999'", "daemon.tcp must be HOST:PORT with a port from 0 to 65535"),
        ("[wyoming]\nlisten = '0.0.0.0:10300'", "wyoming.listen must name a loopback address"),
        ("[wyoming]\nsatellite = 'localhost'", "wyoming.satellite must be HOST:PORT with a port from 0 to 65535"),
        *(
            (f"[camera]\nsource = '{text}'", f"camera.source must {message}")
            for text, message in (
                ("camera", "be a camera's number, a path that begins with /, http:// or rtsp://ADDRESS:PORT/PATH"),
                ("64", "be a camera's number"),
                ("rtsps://192.168.1.20/live", "be a camera's number"),
                ("rtsp://camera.local/live", "be rtsp://ADDRESS:PORT/PATH with an IP address in digits, and no name"),
                ("http://camera.local/live", "be http://ADDRESS:PORT/PATH with an IP address in digits, and no name"),
                ("http://8.8.8.8/live", "have an address of this machine or of a private network"),
                ("http://[::ffff:8.8.8.8]/live", "have an address of this machine or of a private network"),
                ("http://192.168.1.20:0/", "have a port from 1 to 65535"),
            )
        ),
        ("[daemon", "not valid TOML"),
        ("[daemon]\nsocket = 'x'\nsocket = 'y'", "not valid TOML"),
    ],
)
def test_a_wrong_file_names_itself_the_key_and_the_nearest_valid_one(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config_from(tmp_path, text)
    assert message in caught.value.message
    assert str(tmp_path / "edged.toml") in caught.value.message
    assert "\n" not in caught.value.message


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "edged.toml"
    file.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(ConfigError, match="not valid TOML"):
        load_config({"EDGED_CONFIG": str(file)})


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("EDGED_ENGINE__THREADS", "many", "engine.threads must be a whole number, not 'many'"),
        ("EDGED_ENGINE__THREADS", "", "engine.threads must be a whole number, not ''"),
        ("EDGED_PRIVACY__SANDBOX", "maybe", "privacy.sandbox must be true or false, not 'maybe'"),
        ("EDGED_SAMPLING__TEMPERATURE", "inf", "sampling.temperature must be between 0 and 2, not inf"),
        ("EDGED_ENGINE__THREAD", "4", 'unknown key engine.thread (did you mean "threads"?)'),
        ("EDGED_ENGIN__THREADS", "4", 'unknown section engin (did you mean "engine"?)'),
        ("EDGED_ENGINE_THREADS", "4", 'unknown variable (did you mean "EDGED_ENGINE__THREADS"?)'),
        ("EDGED_STATEDIR", "/x", 'unknown variable (did you mean "EDGED_STATE_DIR"?)'),
    ],
)
def test_a_wrong_variable_names_itself_and_the_nearest_valid_one(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        config_from(tmp_path, **{name: text})
    assert message in caught.value.message
    assert f"environment {name}: " in caught.value.message


def test_variables_of_other_programs_are_left_alone(tmp_path: Path) -> None:
    config_from(tmp_path, EDGED_BENCH_NOTE="x", EDGEDX="y", EDGED="z")


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"EDGED_CONFIG names .*missing\.toml, which is not a file"):
        load_config({"EDGED_CONFIG": str(tmp_path / "missing.toml")})


def test_systemd_directories_are_used_and_the_first_of_several_counts() -> None:
    config = load_config(
        {
            "HOME": "/nonexistent",
            "STATE_DIRECTORY": "/var/lib/edged:/var/lib/edged-key",
            "RUNTIME_DIRECTORY": "/run/edged",
            "NOTIFY_SOCKET": "/run/systemd/notify",
            "WATCHDOG_USEC": "30000000",
            "JOURNAL_STREAM": "9:1",
        }
    )
    assert config.paths.state == Path("/var/lib/edged")
    assert config.socket_path.parent == Path("/run/edged")
    assert config.supervisor.watchdog_seconds == 30.0
    assert config.supervisor.notify_socket == "/run/systemd/notify"
    assert config.supervisor.journal


def test_a_watchdog_meant_for_another_process_is_not_ours() -> None:
    config = load_config({"HOME": "/x", "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"})
    assert config.supervisor.watchdog_seconds == 0


def test_paths_do_not_depend_on_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = load_config(
        {"HOME": "/x", "EDGED_STATE_DIR": "state", "EDGED_ENGINES_DIR": "a:b", "EDGED_DAEMON__SOCKET": "s"}
    )
    assert config.paths.state == tmp_path / "state"
    assert config.paths.engines[:2] == (tmp_path / "a", tmp_path / "b")
    assert config.socket_path == tmp_path / "s"


def test_engines_are_looked_for_in_three_places(tmp_path: Path) -> None:
    config = load_config({"HOME": str(tmp_path), "EDGED_ENGINES_DIR": "/opt/engines", "EDGED_STATE_DIR": "/state"})
    checkout = Path(__file__).resolve().parents[1] / "build/engines"
    assert config.paths.engines == (Path("/opt/engines"), Path("/state/engines"), checkout)


def test_a_runtime_directory_of_another_user_is_not_used(tmp_path: Path) -> None:
    # /proc/1 belongs to root, and to nobody in a user namespace; for root take a path that does not exist.
    foreign = "/proc/1" if os.getuid() else str(tmp_path / "missing")
    config = load_config({"HOME": str(tmp_path), "XDG_RUNTIME_DIR": foreign})
    assert config.socket_path.parent.name == f"edged-{os.getuid()}"


def test_sockets_differ_by_state_directory_and_fit_a_unix_address(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
    deep = "/".join(["a-long-folder-name"] * 30)
    sockets = {load_config({**environ, "EDGED_STATE_DIR": state}).socket_path for state in ("/one", "/two", f"/{deep}")}
    assert len(sockets) == 3
    assert all(len(os.fsencode(path)) <= SOCKET_PATH_BYTES for path in sockets)


def test_a_socket_path_that_cannot_be_bound_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"daemon\.socket: .* has \d+ bytes, 107 fit"):
        config_from(tmp_path, EDGED_DAEMON__SOCKET="/" + "x" * 120)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("localhost:50051", ("127.0.0.1", 50051)),
        ("127.0.0.2:0", ("127.0.0.2", 0)),
        ("[::1]:8443", ("::1", 8443)),
    ],
)
def test_loopback_addresses(text: str, expected: tuple[str, int]) -> None:
    assert parse_loopback(text) == expected


@given(st.text(max_size=40))
def test_no_text_becomes_an_address_that_leaves_the_machine(text: str) -> None:
    try:
        host, port = parse_loopback(text)
    except ValueError:
        return
    assert host == "::1" or host.startswith("127.") or host.startswith("::ffff:127.") or host.count(":") > 2
    assert 0 <= port <= 65535


def _values(section: str, key: str) -> st.SearchStrategy[object]:
    full = f"{section}.{key}"
    kind = kinds_of(section)[key]
    if full in RANGES:
        low, high = RANGES[full]
        return st.integers(int(low), int(high)) if kind is int else st.floats(low, high)
    return st.booleans() if kind is bool else st.just(getattr(SECTIONS[section](), key))


_sections = st.fixed_dictionaries(
    {name: st.builds(cls, **{key: _values(name, key) for key in kinds_of(name)}) for name, cls in SECTIONS.items()}
)


@given(_sections)
def test_a_daemon_started_by_a_client_reads_the_same_configuration(sections: dict[str, object]) -> None:
    config = dataclasses.replace(load_config(), **sections)  # type: ignore[arg-type]
    again = load_config(environment_for(config))
    for name in SECTIONS:
        if name != "daemon":
            assert getattr(again, name) == getattr(config, name)
    assert again.socket_path == config.socket_path
    assert again.paths.state == config.paths.state
    assert again.paths.engines == config.paths.engines


def test_a_daemon_started_by_a_client_does_not_talk_to_its_supervisor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/notify")
    monkeypatch.setenv("WATCHDOG_USEC", "1000000")
    supervisor = load_config(environment_for(load_config())).supervisor
    assert supervisor.notify_socket == ""
    assert supervisor.watchdog_seconds == 0

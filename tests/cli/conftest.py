import pytest

# The helpers need click, and are imported by fixtures alone: without it, all modules of
# tests are skipped, but not this one.


@pytest.fixture(scope="session")
def logs(tmp_path_factory):
    """Make a folder with log.csv, and its queries in old.csv and new.csv."""
    from command_line import parts_of, text_log

    folder = tmp_path_factory.mktemp("logs")
    log = text_log()
    old, new = parts_of(log, 90)
    for name, part in (("log", log), ("old", old), ("new", new)):
        part.to_csv(folder / f"{name}.csv", index=False)
    return folder


@pytest.fixture(scope="session")
def saved_once(logs):
    from command_line import run_well

    path = logs / "router.locus"
    fitting = ["--router", "kmeans", "--encoder", "hashing", "--random-state", 0]
    run_well("fit", logs / "old.csv", "-o", path, *fitting)
    return path


@pytest.fixture
def saved(saved_once, tmp_path):
    """Return a saved router of texts, which a test may change."""
    path = tmp_path / "router.locus"
    path.write_bytes(saved_once.read_bytes())
    return path

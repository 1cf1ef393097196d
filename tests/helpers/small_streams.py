"""Tables as folders of small files."""


def write_files(table, path, n_rows):
    path.mkdir()
    for number, start in enumerate(range(0, len(table), n_rows)):
        table.iloc[start : start + n_rows].to_parquet(path / f"{number}.parquet")
    return path

"""Embed the models of a folder of parquet files on Dask workers, one file at a time.

    python examples/scale/dask_embed.py saved.sklocus evaluations/ out/ --workers 2

Each worker loads the saved estimator once. A file is written to a folder of its own in
``out``, whole parts alone: Dask gives the files of a worker that has died to another
one, which continues in the same folder. Running the command again continues, too.
"""

import argparse
from pathlib import Path

from distributed import Client, LocalCluster
from workers import embed_file


def main(arguments=None):
    options = parse_options(arguments)
    with (
        LocalCluster(
            n_workers=options.workers, threads_per_worker=1, dashboard_address=None
        ) as cluster,
        Client(cluster) as client,
    ):
        folders = run(client, options)
    print(f"{len(folders)} files -> {options.output}")


def parse_options(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("saved", help="file of skl_locus.save")
    parser.add_argument("source", type=Path, help="folder of parquet files")
    parser.add_argument("output", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--queries", help="parquet file of ids and queries")
    return parser.parse_args(arguments)


def run(client, options):
    """Map the files over the workers; return the folders of their results."""
    # What a worker needs beside the package, if it does not share this folder.
    client.upload_file(str(Path(__file__).with_name("workers.py")))
    files = sorted(map(str, options.source.glob("*.parquet")))
    shared = options.queries, str(options.output)
    futures = [
        client.submit(embed_file, options.saved, file, *shared, pure=False)
        for file in files
    ]
    return client.gather(futures)


if __name__ == "__main__":
    main()

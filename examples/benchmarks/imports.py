"""CPU time that importing a router adds to scikit-learn, pandas and narwhals."""

import json
import resource
import subprocess
import sys

import numpy as np
from measuring import parse_options, report, sized

FORMS = {
    "sklearn.base, pandas, narwhals": "import sklearn.base, pandas, narwhals",
    "and LocusRouter": "import sklearn.base, pandas, narwhals\n"
    "from skl_locus import LocusRouter",
}
LOADED = "import json, sys\n{}\nprint(json.dumps(list(sys.modules)))"


def main(arguments=None):
    options = parse_options(__doc__, arguments)
    seconds = {form: [] for form in FORMS}
    for round_ in range(sized(options, 20, 10, 1) + 1):
        for form, script in FORMS.items():
            used = cpu_seconds(script)
            if round_:  # the first one fills the caches of the disk
                seconds[form].append(used)
    before, after = (np.array(times) for times in seconds.values())
    known, more = (set(loaded(script)) for script in FORMS.values())
    report(
        options,
        "imports",
        "CPU time of imports",
        seconds,
        target="at most 0.15 s more, no torch",
        added_seconds=float(np.median(after - before)),
        modules_added=len(more - known),
        torch_loaded="torch" in more,
    )


def cpu_seconds(script):
    """Run a script in a fresh process; return its user and system time."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", script], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    user, system = after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime
    return user + system


def loaded(script):
    command = [sys.executable, "-c", LOADED.format(script)]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


if __name__ == "__main__":
    main()

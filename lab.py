"""Set the lab up and hand over: `python lab.py VERB`.

Sees that `.venv` holds the locks a verb needs (`labkit.verbs.environment`), and starts `python -m labkit VERB` in it.
Knows nothing of the verbs but their names and which lock they want; needs nothing but the standard library.

This file alone keeps to the grammar that Python 2.7 and 3 share, so that an old Python can read far enough to say
that it is too old. Packages come as wheels, each checked against the hash in its lock (one that its publisher offers
as source alone is named in its lock: decision 0009); `uv` is used when it is on the PATH, for speed, and never needed.
"""

import os
import sys

NEEDED = (3, 11)
VERBS = (
    # verb, the locks it needs, what it does
    ("run", ("requirements",), "execute the notebooks into .lab/out; `-p name=value` sets a parameter"),
    ("lab", ("requirements",), "open your copies of the notebooks in JupyterLab; `--solved` shows the solutions"),
    ("progress", ("requirements",), "which exercises you have solved, and which comes next"),
    ("test", ("requirements", "requirements-dev"), "run every check"),
    ("bench", ("requirements", "requirements-dev"), "measure: `bench NAME [--json FILE]`"),
    ("render", ("requirements",), "execute the notebooks and write their outputs into notebooks/"),
    ("docs", ("requirements", "requirements-dev"), "make the site, static HTML, in .lab/site: notebooks and texts"),
    ("spark", ("requirements", "requirements-spark"), "the same projection by a local Spark; needs Java 17 or 21"),
    ("parked", ("requirements",), "events that could not be applied: `parked list`, `show`, `replay`, `discard`"),
    ("rebuild", ("requirements",), "make the read models anew from the history; `--rollback` goes back"),
    ("up", ("requirements",), "start the embedded Azure"),
    ("down", ("requirements",), "stop the embedded Azure"),
    ("status", ("requirements",), "say whether the embedded Azure runs, and where"),
    ("reset", ("requirements",), "stop the embedded Azure and delete its state and all executed copies"),
    ("bundle", ("requirements",), "everything for a room without a network, in one file; used by `--bundle FILE`"),
    ("doctor", (), "is this machine ready, and if not, what mends it; `--json` for scripts"),
)


def newer_pythons():
    """Commands on this machine that start a Python new enough, best first."""
    import subprocess

    probe = "import sys; sys.exit(0 if sys.version_info >= {0} else 1)".format(NEEDED)
    found = []
    with open(os.devnull, "w") as nowhere:
        for command in (["python3.13"], ["python3.12"], ["python3.11"], ["python3"], ["py", "-3"]):
            try:
                if subprocess.call(command + ["-c", probe], stdout=nowhere, stderr=nowhere) == 0:
                    found.append(" ".join(command))
            except OSError:
                pass
    return found


if sys.version_info < NEEDED:
    found = newer_pythons()
    if found:
        way_out = "Run `{0} {1}` instead.".format(found[0], " ".join(["lab.py"] + sys.argv[1:]))
    else:
        way_out = "Install one (your system's package manager or python.org has it) and run the same command with it."
    sys.exit(
        "This is Python {0}.{1}; the lab needs {2}.{3} or newer. {4}".format(
            *(sys.version_info[:2] + NEEDED + (way_out,))
        )
    )

import contextlib
import errno
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT))

from labkit.verbs import environment as env
from labkit.verbs.installing import FULL, SetUpError


def main(argv):
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(usage())
        return 0
    argv, bundle = without_bundle(argv)
    if bundle == "":
        return complain("Which file is the bundle? It is named behind `--bundle`.", 1)
    if bundle is not None and not os.path.isfile(bundle):
        return complain("There is no file {0}: name the bundle, with its folder.".format(bundle), 1)
    verb = argv[0] if argv else ""
    locks = {name: needs for name, needs, _ in VERBS}.get(verb or "run")
    if locks is None and verb != "lock":
        return complain("There is no verb `{0}`.\n\n{1}".format(verb, usage()), 2)
    if verb in ("down", "status", "reset") and not env.VENV.exists() and not env.STATE.exists():
        print("Nothing has been set up in this folder, so nothing runs and nothing is kept.")
        return 0
    try:
        if verb == "lock":
            from labkit.verbs import locks as it

            return it.write(argv[1:], ROOT)
        if verb == "doctor":
            return doctor(argv[1:])
        locks = with_spark(argv, locks, bundle)
        if not env.is_ready(locks) and not (verb in ("down", "status") and env.read_stamp()):
            with env.only_one_at_a_time() as lock, packages_of(bundle, locks) as offline:
                env.set_up(locks, lock, offline)
        if not verb:
            print("Everything is installed in {0}. Go on there: `lab.py run`, or `lab.py lab`.".format(ROOT))
            return 0
        return hand_over(argv)
    except SetUpError as error:
        return complain(str(error), 1)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return complain(FULL, 1)
    except KeyboardInterrupt:
        return complain("\nInterrupted. Nothing is lost: the same command goes on from here.", 130)


def without_bundle(argv):
    """The arguments but `--bundle FILE`, and FILE, or None."""
    for at, word in enumerate(argv):
        if word.startswith("--bundle="):
            return argv[:at] + argv[at + 1 :], word.partition("=")[2]
        if word == "--bundle":
            return argv[:at] + argv[at + 2 :], "".join(argv[at + 1 : at + 2])
    return argv, None


def with_spark(argv, locks, bundle=None):
    """The locks of this call, with that of Spark if it starts Spark: whether it can is asked before the download."""
    if argv[:1] not in (["spark"], ["test"]) and argv[:2] != ["bench", "spark"]:
        return locks
    from labkit.verbs import java

    try:
        asked = java.is_for(argv, bundle is not None)
        return locks + (("requirements-spark",) if asked and "requirements-spark" not in locks else ())
    except java.NoSpark as error:
        raise SetUpError(str(error))


@contextlib.contextmanager
def packages_of(bundle, locks):
    """The folder that the bundle's packages are in meanwhile; None without a bundle."""
    if bundle is None:
        yield None
        return
    from labkit.verbs import offline

    goal = {lock: digest for lock, digest in env.wanted(locks).items() if lock != env.PROJECT}
    try:
        with offline.wheels_of(bundle, goal, env.STATE) as folder:
            yield folder
    except offline.BundleError as error:
        raise SetUpError(str(error))


def usage():
    lines = ["usage: python lab.py VERB [OPTIONS]     (each verb: python lab.py VERB --help)", ""]
    lines += ["  {0:<9}{1}".format(verb, text) for verb, _, text in VERBS]
    lines += [
        "",
        "The first call makes .venv in this folder, which takes a minute or two; nothing outside it is changed.",
        "Without a network: `python lab.py [VERB] --bundle FILE`; `bundle` makes FILE where there is one.",
    ]
    return "\n".join(lines)


def complain(text, code):
    sys.stderr.write(text + "\n")
    return code


# ---- Hand over ------------------------------------------------------------------------------------------------------


def hand_over(argv):
    """Become `python -m labkit VERB`, in the caller's folder, without another project's PYTHONPATH.

    Nor with PYTHONOPTIMIZE: what the notebooks state, their cells assert.
    """
    left_out = ("PYTHONPATH", "PYTHONHOME", "PYTHONOPTIMIZE")
    environment = {k: v for k, v in os.environ.items() if k not in left_out}
    command = [str(env.PYTHON), "-P", "-m", "labkit"] + argv  # -P: whatever modules the caller's folder holds
    if not env.WINDOWS:
        sys.stdout.flush()
        os.execve(command[0], command, environment)
    process = subprocess.Popen(command, env=environment)
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:  # the child has it too, and decides
            continue


def doctor(options):
    """Look at this machine, with the Python that runs this: `.venv` may be what is broken."""
    from labkit.verbs import doctor as it

    return it.main(options, it.Room(ROOT, env.PYTHON, env.read_stamp(), env.wanted(("requirements",))))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

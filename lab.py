"""Set the lab up and hand over: `python lab.py VERB`.

Owns `.venv`: makes it, installs the locks a verb needs and the project, and starts `python -m labkit VERB` in it.
Knows nothing of the verbs but their names and which lock they want; needs nothing but the standard library.

How: each lock installed whole is noted, with its hash, in a stamp inside `.venv`, written last. So a half-made, moved
or outdated `.venv` is recognised by what the stamp does not say, and mended or made again. One process at a time does
so, under an OS lock that the installer inherits: an orphaned pip is waited for, never joined by a second one.

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
    ("spark", ("requirements", "requirements-spark"), "the same projection by Spark on this machine; needs Java 17"),
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
import hashlib
import importlib.util
import json
import shutil
import subprocess
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
STAMP = VENV / "lab-stamp.json"
PROJECT = "pyproject.toml"
STATE = ROOT / ".lab"
LOG = STATE / "setup.log"
WINDOWS = os.name == "nt"
PYTHON = VENV / ("Scripts/python.exe" if WINDOWS else "bin/python")
#: What makes `.venv`: never an interpreter of an environment, which might be the one that is to be replaced.
BASE_PYTHON = getattr(sys, "_base_executable", None) or sys.executable
SITE_PACKAGES = "Lib/site-packages" if WINDOWS else "lib/python*/site-packages"

#: How an installer's lines begin that mean one more package has been met.
MET = ("Collecting ", "Ignoring ", "Requirement already", " Downloaded ")

#: What the installer says when it fails, and what that means to a person. The first needle found decides.
NOT_THE_ONE = (
    "A package that arrived is not the one the lock names, so it was not installed. Run the same command again; if it "
    "stays so, your package index or proxy alters what it serves."
)
NOT_REACHED = (
    "The package index cannot be reached. Connect to the network (or point {0} at an index you can reach), then run "
    "the same command again: it goes on where it stopped."
)
NOT_OFFERED = (
    "A package of the lock is not offered for this Python on this machine. Delete .venv and use Python 3.11, 3.12 or "
    "3.13 on 64-bit Linux, macOS or Windows; if you use an index of your own, see that it is complete."
)
FULL = "The disk is full. Free about 2 GB, then run the same command again: it goes on where it stopped."
CAUSES = (
    ("No space left on device", FULL),
    ("do not match the hashes", NOT_THE_ONE),
    ("DO NOT MATCH THE HASHES", NOT_THE_ONE),
    ("after connection broken by", NOT_REACHED.format("PIP_INDEX_URL")),
    ("error sending request", NOT_REACHED.format("UV_INDEX_URL")),
    ("No matching distribution found", NOT_OFFERED),
    ("No solution found", NOT_OFFERED),
    (
        "ensurepip",
        "This Python cannot make environments. On Debian or Ubuntu: apt install python3-venv; or put uv on the PATH. "
        "Then run the same command again.",
    ),
)


class SetUpError(Exception):
    """One sentence saying what is wrong, and the way out."""


def main(argv):
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(usage())
        return 0
    argv, bundle = without_bundle(argv)
    verb = argv[0] if argv else ""
    if verb == "lock":
        sys.path.insert(0, str(ROOT))
        from labkit.verbs import locks as it

        return it.write(argv[1:], ROOT)
    if verb == "doctor":
        return doctor(argv[1:])
    locks = {name: needs for name, needs, _ in VERBS}.get(verb or "run")
    if locks is None:
        return complain("There is no verb `{0}`.\n\n{1}".format(verb, usage()), 2)
    if verb in ("down", "status", "reset") and not VENV.exists() and not STATE.exists():
        print("Nothing has been set up in this folder, so nothing runs and nothing is kept.")
        return 0
    try:
        locks = with_spark(argv, locks, bundle)
        if not is_ready(locks) and not (verb in ("down", "status") and read_stamp()):
            with only_one_at_a_time() as lock, packages_of(bundle, locks) as offline:
                set_up(locks, lock, offline)
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
    sys.path.insert(0, str(ROOT))
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
    sys.path.insert(0, str(ROOT))
    from labkit.verbs import offline

    goal = {lock: digest for lock, digest in wanted(locks).items() if lock != PROJECT}
    try:
        with offline.wheels_of(bundle, goal, STATE) as folder:
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


# ---- Is it there? ---------------------------------------------------------------------------------------------------


def wanted(locks):
    """What the stamp must hold: the hash of each lock, and of what the project says of itself."""
    files = {lock: ROOT / (lock + ".lock") for lock in locks}
    files[PROJECT] = ROOT / PROJECT
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}


def read_stamp():
    """What is installed whole, by name, with its hash: empty for a `.venv` that is absent, half-made or moved."""
    try:
        stamp = json.loads(STAMP.read_text(encoding="utf-8"))
        return dict(stamp["installed"]) if stamp["folder"] == str(ROOT) else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def is_ready(locks):
    return PYTHON.exists() and wanted(locks).items() <= read_stamp().items()


def write_stamp(installed):
    text = json.dumps({"folder": str(ROOT), "installed": installed}, indent=1) + "\n"
    beside = STAMP.with_suffix(".new")
    beside.write_text(text, encoding="utf-8")
    os.replace(str(beside), str(STAMP))


@contextlib.contextmanager
def only_one_at_a_time():
    """Hold the folder's set-up lock; yields its file descriptor for the installer to inherit."""
    try:
        STATE.mkdir(mode=0o700, exist_ok=True)  # keys and data: for the owner alone
        file = open(str(STATE / "setup.lock"), "a+")  # noqa: SIM115 (closed below)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise
        raise SetUpError(
            "Cannot write in {0} ({1}). Copy the lab's folder to a place you may write to, and run it there.".format(
                ROOT, error.strerror
            )
        )
    try:
        waited = False
        while not try_lock(file):
            if not waited:
                print("Another `lab.py` is setting this folder up; waiting for it.")
                waited = True
            time.sleep(0.2)
        yield file.fileno()
    finally:
        file.close()


def try_lock(file):
    try:
        if WINDOWS:
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except OSError:
        return False


# ---- Make it so -----------------------------------------------------------------------------------------------------


def set_up(locks, lock_fd, offline=None):
    """Bring `.venv` to where `locks` are installed. Called under the lock; does nothing that is already done.

    `offline`: a folder with all packages; no index is asked then, and no setting of the installer's is read.
    """
    if is_ready(locks):
        return
    uv = shutil.which("uv")
    if offline and importlib.util.find_spec("ensurepip"):
        uv = None  # which would fetch pip for a new environment from the index
    installed = read_stamp() if PYTHON.exists() else {}
    also = sorted(set(installed) - set(locks) - {PROJECT})  # what `test` was given stays when another verb comes
    if not offline:  # a bundle may hold no more than the verb needs
        locks += tuple(name for name in also if (ROOT / (name + ".lock")).exists())
    goal = wanted(locks)
    if installed.get(locks[0]) != goal[locks[0]]:
        if STAMP.exists() or not works(uv):
            make_venv(uv, lock_fd, offline)
        else:
            print("Going on with a set-up that was interrupted.")
            forget_half_installed()
        installed = {}
    for name in (locks[0], PROJECT) + locks[1:]:
        if installed.get(name) != goal[name]:
            if name == PROJECT:
                install_project(installer(uv, offline), lock_fd)
            else:
                install_lock(name, installer(uv, offline), lock_fd)
            installed[name] = goal[name]
            write_stamp(installed)


def works(uv):
    """Whether `.venv` starts, is of this Python's version, and has an installer."""
    check = "import sys{0}; print('%d.%d' % sys.version_info[:2])".format("" if uv else ", pip")
    try:
        said = subprocess.run([str(PYTHON), "-c", check], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return False
    return said == "{0}.{1}".format(*sys.version_info[:2])


def make_venv(uv, lock_fd, offline):
    """A fresh `.venv`, an old one moved out of the way first: in one step, so that a refusal leaves it whole."""
    if VENV.exists():
        if read_stamp() and PYTHON.exists():  # an embedded Azure that runs from it would miss its files
            subprocess.run([str(PYTHON), "-P", "-m", "labkit", "down"], capture_output=True)
        old = ROOT / ".venv-old-{0}".format(os.getpid())
        try:
            VENV.rename(old)
        except OSError as error:
            raise SetUpError(
                "{0} must be made again and cannot be moved away ({1}): something still uses it. Close JupyterLab and "
                "running notebooks, then run the same command again.".format(VENV, error.strerror)
            )
    for old in ROOT.glob(".venv-old-*"):
        shutil.rmtree(str(old), ignore_errors=True)
    command = [uv, "venv", "--quiet", "--offline" if offline else "--seed", "--python", BASE_PYTHON, str(VENV)]
    if not uv:
        command = [BASE_PYTHON, "-m", "venv", str(VENV)]
    step("Python environment", command, lock_fd)


def forget_half_installed():
    """Drop the metadata of packages whose installation broke off, so that the installer does them again.

    RECORD is the last file an installer writes. Folders beginning with `~` are what pip moved aside and did not delete.
    """
    for metadata in installed_packages():
        if not (metadata / "RECORD").exists():
            shutil.rmtree(str(metadata))
    for aside in VENV.glob(SITE_PACKAGES + "/~*"):
        shutil.rmtree(str(aside), ignore_errors=True)


def installed_packages():
    """The metadata folders of the packages in `.venv`, half-installed ones too."""
    return list(VENV.glob(SITE_PACKAGES + "/*.dist-info"))


def installer(uv, offline):
    """How an installing command begins. Offline it knows one folder, whatever is configured."""
    only = ["--no-index", "--find-links", offline] if offline else []
    if uv:
        command = [uv, "pip", "install", "--python", str(PYTHON), "--compile-bytecode"]
        return command + (["--offline", "--no-config"] + only if offline else [])
    command = [str(PYTHON), "-m", "pip"] + (["--isolated"] if offline else [])
    return command + ["install", "--disable-pip-version-check", "--no-input", "--progress-bar", "off"] + only


def install_lock(lock, install, lock_fd):
    path = ROOT / (lock + ".lock")
    packages = sum("==" in line for line in path.read_text(encoding="utf-8").splitlines())
    command = install + ["--require-hashes", "--only-binary", ":all:", "--no-build-isolation", "-r", str(path)]
    step("Packages of {0}".format(path.name), command, lock_fd, packages)


def install_project(install, lock_fd):
    """The project itself, editable. A call of its own: pip refuses it beside requirements that have hashes."""
    step("The lab itself", install + ["--no-deps", "--no-build-isolation", "-e", str(ROOT)], lock_fd)
    packages = [str(ROOT / name) for name in ("labkit", "localazure")]
    subprocess.run(
        [str(PYTHON), "-m", "compileall", "-q"] + packages, capture_output=True
    )  # so that all starts are quick


def step(title, command, lock_fd, packages=0):
    """Run one installing command with a bar, its output going to the log, and end it in one line with its time."""
    began = time.monotonic()
    environment = {
        k: v for k, v in os.environ.items() if k not in ("PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PYTHONPATH")
    }
    keep = {} if WINDOWS else {"pass_fds": (lock_fd,)}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=str(ROOT), env=environment, **keep
    )
    lines, before = [], len(installed_packages())
    reader = threading.Thread(target=read_lines, args=(process.stdout, lines), daemon=True)
    reader.start()
    try:
        while process.poll() is None:
            draw(title, time.monotonic() - began, lines, packages, before)
            time.sleep(0.1)
    except BaseException:
        process.terminate()
        process.wait()
        raise
    reader.join(2)
    with open(str(LOG), "a", encoding="utf-8") as log:
        log.write("$ {0}\n{1}\n".format(" ".join(command), "\n".join(lines)))
    clear_line()
    if process.returncode:
        raise SetUpError(explain(title, lines))
    print("{0:<34} {1:6.1f} s".format(title, time.monotonic() - began))
    sys.stdout.flush()


def read_lines(stream, lines):
    for raw in stream:
        lines.append(raw.decode("utf-8", "replace").rstrip())


def explain(title, lines):
    text = "\n".join(lines)
    for needle, sentence in CAUSES:
        if needle in text:
            return "{0}: {1}".format(title, sentence)
    words = "\n  ".join(lines[-5:])
    return "{0} failed; the log is {1}. Run the same command again to go on.\n  {2}".format(title, LOG, words)


def draw(title, seconds, lines, packages, before):
    """The bar: half of it for packages met, half for packages in place beyond those there `before`.

    pip meets all packages of a lock one by one; uv announces those that are large enough to wait for.
    """
    if not sys.stdout.isatty():
        return
    bar = "." * (1 + int(seconds * 2) % 3)
    if packages:
        announced = sum(line.startswith("Downloading ") for line in lines) or packages
        met = sum(line.startswith(MET) for line in lines)
        there = len(installed_packages()) - before
        done = min(1.0, met / float(announced)) / 2 + min(1.0, there / float(packages)) / 2
        bar = "[{0:<30}] {1:3.0f} %".format("#" * int(done * 30), done * 100)
    sys.stdout.write("\r{0:<34} {1:6.1f} s  {2:<40}".format(title, seconds, bar))
    sys.stdout.flush()


def clear_line():
    if sys.stdout.isatty():
        sys.stdout.write("\r" + " " * 90 + "\r")


# ---- Hand over ------------------------------------------------------------------------------------------------------


def hand_over(argv):
    """Become `python -m labkit VERB`, in the caller's folder, without another project's PYTHONPATH."""
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
    command = [str(PYTHON), "-P", "-m", "labkit"] + argv  # -P: whatever modules the caller's folder holds
    if not WINDOWS:
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
    sys.path.insert(0, str(ROOT))
    from labkit.verbs import doctor as it

    return it.main(options, it.Room(ROOT, PYTHON, read_stamp(), wanted(("requirements",))))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Runs the client scripts of this folder, one after the other, and prints the table of what passed."""

import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
# A script takes well under a minute; one that hangs has found something.
SCRIPT_S = 240
COLUMNS = ["client", "version", "instrument", "transport", "steps"]


def run(script):
    """The rows of one script and whether it ended well."""
    try:
        done = subprocess.run(
            [sys.executable, os.path.join(HERE, script)], stdout=subprocess.PIPE, text=True, timeout=SCRIPT_S, check=False
        )
    except subprocess.TimeoutExpired:
        print(f"FAILED {script}: not done within {SCRIPT_S} s", file=sys.stderr)
        return [], False
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return rows, done.returncode == 0 and bool(rows)


def main():
    names = sys.argv[1:] or sorted(f for f in os.listdir(HERE) if f.startswith("client_") and f.endswith(".py"))
    rows, good = [], True
    for name in names:
        found, ended = run(name)
        rows += found
        good = good and ended and all(r["passed"] == r["steps"] > 0 for r in found)
    table = [COLUMNS] + [
        [r["client"], r["version"], r["instrument"], r["transport"], f"{r['passed']}/{r['steps']}"] for r in rows
    ]
    widths = [max(len(line[i]) for line in table) for i in range(len(COLUMNS))]
    for line in table:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip())
    sys.exit(0 if good else 1)


main()

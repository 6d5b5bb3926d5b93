"""What a proxy costs, read from /proc: its processor time and its memory, children included."""

import pathlib
import re


def family(pid):
    """The process and every descendant (nginx works in a child)."""
    found = [pid]
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rsplit(")", 1)[1].split()[1])
        except (OSError, ValueError):
            continue  # it ended while we looked
        child = int(stat.parent.name)
        if parent in found and child not in found:
            found.append(child)
    return found


def cpu_seconds(pid):
    """schedstat counts nanoseconds; the better known utime and stime only count ticks of 10 ms."""
    nanoseconds = 0
    for process in family(pid):
        for schedstat in pathlib.Path(f"/proc/{process}/task").glob("*/schedstat"):
            try:
                nanoseconds += int(schedstat.read_text().split()[0])
            except OSError:
                pass
    return nanoseconds / 1e9


def memory_kib(pid):
    """Proportional set size: pages that nginx's processes share count once."""
    kib = 0
    for process in family(pid):
        try:
            rollup = pathlib.Path(f"/proc/{process}/smaps_rollup").read_text()
        except OSError:
            continue
        found = re.search(r"Pss:\s+(\d+)", rollup)
        kib += int(found.group(1)) if found else 0
    return kib

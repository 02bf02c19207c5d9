"""Runs a program with its stdout and stderr at a place that fails, and passes on what it printed.

terminal.py gone|stopped|nonblocking PROGRAM ARGUMENT...

gone         a terminal that is closed when a line comes on stdin
stopped      a terminal that is not read any more when a line comes, and is again at the next one
nonblocking  a pipe that somebody has set to O_NONBLOCK, not read any more and again likewise
"""
import os
import pty
import signal
import sys
import threading

how, program = sys.argv[1], sys.argv[2:]
if how == "nonblocking":
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    pid = os.fork()
    if pid == 0:
        os.dup2(writing, 1)
        os.dup2(writing, 2)
        os.execvp(program[0], program)
    os.close(writing)
else:
    pid, reading = pty.fork()
    if pid == 0:
        os.execvp(program[0], program)

reads = threading.Event()
reads.set()


def show():
    while True:
        reads.wait()
        try:
            piece = os.read(reading, 65536)
        except OSError:
            return
        if not piece:
            return
        os.write(1, piece)


showing = threading.Thread(target=show, daemon=True)
showing.start()
signal.signal(signal.SIGTERM, lambda *_: os.kill(pid, signal.SIGTERM))


def obey():
    for _ in sys.stdin:
        if how == "gone":
            os.close(reading)
        elif reads.is_set():
            reads.clear()
        else:
            reads.set()
        os.write(1, b"\n(obeyed)\n")


threading.Thread(target=obey, daemon=True).start()
_, status = os.waitpid(pid, 0)
if how != "gone":
    showing.join(10)
sys.exit(os.waitstatus_to_exitcode(status) & 255)

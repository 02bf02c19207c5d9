"""Runs a program with its stdout and stderr at a place that fails, and passes on what it printed.

terminal.py gone|stopped|nonblocking|typed PROGRAM ARGUMENT...

gone         a terminal that is closed when a line comes on stdin
stopped      a terminal that is not read from one line on stdin until the next
typed        a terminal that works, of 60 columns and 8 rows: a line "keys TEXT" is typed there (TEXT is JSON), and
             "size COLUMNS ROWS" resizes its window
nonblocking  a pipe that is set to O_NONBLOCK, and likewise not read from one line on stdin until the next
"""
import fcntl
import json
import os
import pty
import signal
import struct
import sys
import termios
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
        if how == "typed":
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 8, 60, 0, 0))
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
    for line in sys.stdin:
        if how == "typed":
            word, rest = line.split(" ", 1)
            if word == "keys":
                os.write(reading, json.loads(rest).encode())
            else:
                columns, rows = map(int, rest.split())
                fcntl.ioctl(reading, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            continue
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

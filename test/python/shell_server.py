"""Runs a shell of this folder, such as django_shell.py, for whoever asks, each time in a process of
its own. That is forked from this one, which has imported what takes the shell most of its time:

    shell_server.py SHELL SOCKET MODULES…

Who connects to the socket sends a line of JSON with the arguments, what is more in the environment, and
the code for standard input. It is told the exit code, and what came out, in a line of JSON. The
connection ends when the process does."""

import gc
import importlib
import io
import json
import os
import runpy
import signal
import socket
import sys
import traceback


def run(shell, request):
    sys.argv = [shell, *request["args"]]
    os.environ.update(line.split("=", 1) for line in request["env"])
    sys.stdin = io.StringIO(request["code"])
    sys.stdout, sys.stderr = out, problems = io.StringIO(), io.StringIO()
    code = 0
    try:
        runpy.run_path(shell, run_name="__main__")
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
        code = 1
    return {"code": code, "out": out.getvalue(), "problems": problems.getvalue()}


def serve(shell, path, *modules):
    for module in modules:
        try:
            importlib.import_module(module)
        except ModuleNotFoundError:
            pass  # of a later version
    gc.freeze()  # or else each process goes through all of it at its end, and so copies it
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen(100)
    while True:
        connection, _ = server.accept()
        if os.fork() == 0:
            break
        connection.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    server.close()
    line = connection.makefile().readline()
    if line:  # or else who connected wanted to know whether somebody listens
        connection.sendall(json.dumps(run(shell, json.loads(line))).encode() + b"\n")
    connection.detach()  # so that it lasts as long as the process


serve(*sys.argv[1:])

"""A process with everything imported, which forks for each command.

The commands of tools/ take four CPU seconds to import PyTorch and MMagic before they begin. A child
of this process has that behind it, and is otherwise a process of its own: with its own arguments,
folder, variables, output and exit code. It reads one command a line from stdin, as JSON, and
answers with the exit code. ``ranks`` holds the variables of each process that the command runs in.
If one says ``kill``, it is killed after so many seconds. This process runs no training itself, as
autograd cannot be used after a fork if it was before.
"""

import json
import os
import runpy
import signal
import sys
import time


def serve() -> None:
    """Answer commands until stdin ends."""
    for line in sys.stdin:
        command = json.loads(line)
        kill, children = command.pop('kill'), set()
        for variables in command.pop('ranks'):
            child = os.fork()
            if not child:
                os.environ.update(variables)
                return become(**command)  # and on to the end of this script, where Python ends
            children.add(child)
        if kill is not None:
            time.sleep(kill)
            end(children)
        os.write(ANSWERS, f'{code_of(children)}\n'.encode())


def end(children: set[int]) -> None:
    """Kill processes that have not been waited for: until then no other has their number."""
    for child in children:
        os.kill(child, signal.SIGKILL)


def code_of(children: set[int]) -> int:
    """The exit code of the first that fails, for which the others would wait; or 0."""
    code = 0
    while children:
        child, status = os.wait()
        children.remove(child)
        if not code and (code := os.waitstatus_to_exitcode(status)):
            end(children)
    return code


def become(argv: list[str], cwd: str, output: str) -> None:
    """Run a script as the main module, with its output in a file."""
    nothing, file = os.open(os.devnull, os.O_RDONLY), os.open(output, os.O_WRONLY | os.O_APPEND)
    for descriptor, stream in ((nothing, 0), (file, 1), (file, 2)):
        os.dup2(descriptor, stream)
    os.chdir(cwd)
    sys.argv = argv
    runpy.run_path(argv[0], run_name='__main__')


if __name__ == '__main__':
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
    ANSWERS = os.dup(1)
    os.dup2(2, 1)
    import warm

    import i2ilr_mm

    i2ilr_mm.register()
    warm.import_late_modules()
    warm.format_configs_once()
    serve()

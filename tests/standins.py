"""Commands for a shell that do what the console scripts do, in forks of a process that is warm.

A page of docs has a shell start a hundred short commands. Each of these hands its command line,
folder, environment and streams to a process that has loaded the project (see `tests.warm`), passes
interrupts on, and ends with the exit code of the fork. What goes on until somebody stops it starts
from the real console script.
"""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path

from tests import warm

#: Few imports: that it starts quickly is its purpose.
_CLIENT = """#!{python} -SEI
import os, sys
program = os.path.basename(os.path.realpath(sys.argv[0]))  # a link may be called otherwise
if sys.argv[1:2] in (["run"], ["middleware"]):
    real = os.path.join({scripts!r}, program)
    os.execv(real, [real, *sys.argv[1:]])
import _signal, _socket
line = _socket.socket(_socket.AF_UNIX)
line.connect({address!r})
words = [os.fsencode(word) for word in (program, *sys.argv[1:])]
variables = [name + b"=" + text for name, text in os.environb.items()]
data = b"\\0".join([os.getcwdb(), b"0", b"%d" % len(words), *words, *variables])
files = b"".join(number.to_bytes(4, sys.byteorder) for number in range(3))
_signal.signal(_signal.SIGINT, lambda *_: line.send(b"i"))
line.sendmsg([len(data).to_bytes(8, "big")], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, files)])
line.sendall(data)
pid, status = (line.recv(4, _socket.MSG_WAITALL) for _ in range(2))
code = os.waitstatus_to_exitcode(int.from_bytes(status, "big"))
os._exit(code if code >= 0 else 128 - code)
"""


@cache
def folder() -> Path | None:
    """Return the folder of the commands, for a `PATH`; None where the real ones have to do."""
    if (address := warm.address()) is None:
        return None
    # It goes with the process that forks, which is there for others, too.
    made = Path(address).parent / f"programs-{os.getpid()}"
    made.mkdir()
    for program in warm.PROGRAMS:
        scripts = str(warm.script(program).parent)
        text = _CLIENT.format(python=sys.executable, scripts=scripts, address=address)
        (made / program).write_text(text, encoding="utf-8")
        (made / program).chmod(0o700)
    return made

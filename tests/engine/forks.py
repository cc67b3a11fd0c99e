"""Processes of a run as forks of one that has imported everything already: none costs a start of Python."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from types import SimpleNamespace

from labelwise.engine import processes
from labelwise.errors import UserError


class Fork:
    """In the place of ``subprocess.Popen``: work in a fork."""

    def __init__(self, work):
        self.returncode, self.pid = None, os.fork()
        if self.pid == 0:
            code = 0
            try:
                work()
            except UserError as error:
                sys.stderr.write(f"error: {error}\n")
                code = 2
            except BaseException:
                traceback.print_exc()
                code = 1
            sys.stderr.flush()
            os._exit(code)

    def poll(self):
        return self._ended(os.WNOHANG)

    def wait(self):
        return self._ended(0)

    def kill(self):
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)

    def _ended(self, options):
        if self.returncode is None and (found := os.waitpid(self.pid, options))[0]:
            self.returncode = os.waitstatus_to_exitcode(found[1])
        return self.returncode


def fork_others(work):
    """Have the other processes of this one's runs be forks that do ``work``, not commands that are started."""

    def started(command, env):
        def other():
            os.environ.update(env)
            processes._watches.clear()
            work()

        return Fork(other)

    processes.subprocess = SimpleNamespace(Popen=started)

"""The fixtures of every suite: those of a server and a system, and those of containers.

Plugins and no imports: a fixture imported into several conftest files is a fixture of its own in each, and then each
suite would start a container of its own.
"""

pytest_plugins = ["tests.support.fixtures", "tests.real.fixtures", "tests.support.sshd"]

"""The groups of commands. Their commands are imported when they are used."""

from __future__ import annotations

from runbus.cli.context import LazyGroup

job = LazyGroup(
    "job",
    help="Store, show and run jobs. JOB is a job's uuid or its group/name.",
    sections={
        "Commands": {
            "put": ("runbus.cli.jobput:put", "Store the jobs of job files: new ones, and changes."),
            "check": ("runbus.cli.jobcheck:check", "Check job files, without a connection."),
            "plan": ("runbus.cli.jobplan:plan", "Say what one would run where, without a connection."),
            "export": ("runbus.cli.jobexport:export", "Write job files of stored jobs."),
            "list": ("runbus.cli.job:list_", "List the jobs of the project."),
            "show": ("runbus.cli.job:show", "Show one with all its steps."),
            "run": ("runbus.cli.job:run", "Run one, and follow it."),
            "schedule": ("runbus.cli.schedule:schedule", "Show when one runs next by itself."),
            "remove": ("runbus.cli.job:remove", "Remove one; its executions stay."),
        }
    },
)

execution = LazyGroup(
    "execution",
    help="Find, show, follow and abort executions.",
    sections={
        "Commands": {
            "list": ("runbus.cli.execution:list_", "Search executions, newest first."),
            "show": ("runbus.cli.execution:show", "Show one with all its steps."),
            "log": ("runbus.cli.execution:log", "Print its output; --follow it to its end."),
            "abort": ("runbus.cli.execution:abort", "End it, queued or running."),
        }
    },
)

runner = LazyGroup(
    "runner",
    help="Start runners; list, ping, tag and drain them.",
    sections={
        "Commands": {
            "start": ("runbus.cli.service:runner_start", "Run a runner in the foreground."),
            "list": ("runbus.cli.runner:list_", "List runners."),
            "show": ("runbus.cli.runner:show", "Show one with its plugins."),
            "ping": ("runbus.cli.runner:ping", "Ask one whether it answers."),
            "tags": ("runbus.cli.runner:tags", "Show or change its tags."),
            "nodes": ("runbus.cli.runnernodes:nodes", "Show or say which nodes it serves."),
            "create": ("runbus.cli.runner:create", "Make one known before it first starts."),
            "drain": ("runbus.cli.runner:drain", "Let one finish its work and leave."),
            "remove": ("runbus.cli.runner:remove", "Forget one that is not connected."),
        }
    },
)

nodes = LazyGroup(
    "nodes",
    help="Load, list and filter nodes: what jobs are dispatched to.",
    sections={
        "Commands": {
            "load": ("runbus.cli.nodes:load", "Replace the project's nodes by those of a file."),
            "list": ("runbus.cli.nodes:list_", "List those that a filter selects, in order."),
            "show": ("runbus.cli.nodes:show", "Show one with all its attributes."),
            "filter": ("runbus.cli.nodesfile:filter_", "Try a filter on a file, without a connection."),
            "source": ("runbus.cli.groups:node_source", "What nodes are discovered by."),
            "discover": ("runbus.cli.discover:discover", "Try a node source here, without a connection."),
        }
    },
)

keys = LazyGroup(
    "keys",
    help="Keys of the centre (keys/...) and of runners (runner/...): paths and types, never values.",
    sections={
        "Commands": {
            "list": ("runbus.cli.keys:list_", "List those of a folder."),
            "show": ("runbus.cli.keys:show", "Show one, without its value."),
            "put": ("runbus.cli.keys:put", "Store one at the centre."),
            "rm": ("runbus.cli.keys:rm", "Remove one from the centre."),
            "audit": ("runbus.cli.keysaudit:audit", "Who did what with which."),
            "rotate": ("runbus.cli.keysrotate:rotate", "Another master key for those of the centre."),
        }
    },
)

node_source = LazyGroup(
    "source",
    help="Node sources: what the project's nodes are discovered by, through runners.",
    sections={
        "Commands": {
            "add": ("runbus.cli.sources:add", "Add one, and ask it."),
            "set": ("runbus.cli.sources:set_", "Change one."),
            "list": ("runbus.cli.sources:list_", "List them in order, and how they stand."),
            "show": ("runbus.cli.sources:show", "Show one, and which runners could be asked."),
            "test": ("runbus.cli.sources:test", "Ask one, and store nothing."),
            "refresh": ("runbus.cli.sources:refresh", "Ask some or all now, and wait."),
            "remove": ("runbus.cli.sources:remove", "Remove one, and its nodes."),
        }
    },
)

project = LazyGroup(
    "project",
    help="Create and list projects; show and change their settings.",
    sections={
        "Commands": {
            "create": ("runbus.cli.project:create", "Create a project."),
            "list": ("runbus.cli.project:list_", "List projects."),
            "show": ("runbus.cli.project:show", "Show one with its settings."),
            "set": ("runbus.cli.project:set_", "Change its settings."),
        }
    },
)

service = LazyGroup(
    "service",
    help="Run one service in the foreground. Each option has its RUNBUS_ environment variable.",
    sections={
        "Services": {
            "registry": ("runbus.cli.service:registry", "Knows the runners and projects."),
            "nodesource": ("runbus.cli.service:nodesource", "Knows the nodes of each project."),
            "keyproxy": ("runbus.cli.service:keyproxy", "Keeps the centre's keys, asks for those of runners."),
            "dispatcher": ("runbus.cli.service:dispatcher", "Takes runs, and hands them to runners."),
        }
    },
)

// The command line: options, then `--`, then the command that is to run.

import { parseArgs } from "node:util";

const OPTIONS = {
  server: { type: "string", default: process.env.NATS_URL ?? "nats://127.0.0.1:4222" },
  project: { type: "string", default: "default" },
  tags: { type: "string" },
  id: { type: "string" },
  deadline: { type: "string" },
};

export function readOptions(usage) {
  try {
    const { values, positionals } = parseArgs({ options: OPTIONS, allowPositionals: true });
    if (positionals.length === 0) throw new Error("no command given");
    if (values.deadline && !(Number(values.deadline) > 0)) throw new Error("--deadline: give seconds");
    return { ...values, command: positionals.join(" ") }; // joined by blanks for the shell there, as ssh does
  } catch (error) {
    console.error(`${error.message}\nusage: ${usage}`);
    process.exit(2);
  }
}

// The message `runbus.run.v1` (docs/subjects.md, RunRequest). A field that it does not know would be refused.
export function runRequest({ project, tags, id, deadline, command }) {
  return {
    type: "runbus.run.v1",
    project,
    steps: [{ plugin: "command", config: { command } }],
    ...(tags && { runner: { mode: "TAGS", filter: tags } }), // without: the Local Runner
    ...(id && { id }),
    ...(deadline && { deadline_s: Number(deadline) }),
  };
}

// The command line: options, then what is to run: `--` and a command, or a job's name.

import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";

const OPTIONS = {
  server: { type: "string", default: process.env.NATS_URL ?? "nats://127.0.0.1:4222" },
  project: { type: "string", default: "default" },
  tags: { type: "string" },
  id: { type: "string" },
  deadline: { type: "string" },
};
const SECURE = { "secure-option": { type: "string", multiple: true, default: [] } };

export function readOptions(usage, more = {}) {
  try {
    const { values, positionals } = parseArgs({ options: { ...OPTIONS, ...more }, allowPositionals: true });
    if (positionals.length === 0) throw new Error("nothing given to run");
    if (values.deadline && !(Number(values.deadline) > 0)) throw new Error("--deadline: give seconds");
    return { ...values, words: positionals };
  } catch (error) {
    return misused(error.message, usage);
  }
}

// The same for a job whose secure values are in files: an argument would show them to everybody on this machine.
export function readSecureOptions(usage) {
  const { "secure-option": given, ...options } = readOptions(usage, SECURE);
  if (options.words.length > 1) misused("give one job", usage);
  const secure = {};
  for (const each of given) {
    const [, name, file] = /^([^=]+)=@(.+)$/.exec(each) ?? misused("--secure-option: give NAME=@FILE", usage);
    try {
      secure[name] = readFileSync(file, "utf8").replace(/\n$/, "");
    } catch (error) {
      misused(error.message, usage);
    }
  }
  return { ...options, secure };
}

function misused(message, usage) {
  console.error(`${message}\nusage: ${usage}`);
  process.exit(2);
}

// The message `runbus.run.v1` (docs/subjects.md, RunRequest). A field that it does not know would be refused.
export function runRequest({ words, ...options }) {
  const command = words.join(" "); // joined by blanks for the shell there, as ssh does
  return { ...request(options), steps: [{ plugin: "command", config: { command } }] };
}

export function jobRequest({ words, ...options }) {
  return { ...request(options), job: words[0] };
}

function request({ project, tags, id, deadline }) {
  return {
    type: "runbus.run.v1",
    project,
    ...(tags && { runner: { mode: "TAGS", filter: tags } }), // without: the Local Runner, or the job's own
    ...(id && { id }),
    ...(deadline && { deadline_s: Number(deadline) }),
  };
}

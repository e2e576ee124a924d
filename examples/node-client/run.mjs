// Run a command now: ask a dispatcher, then follow the execution that it has accepted.

import { connect } from "@nats-io/transport-node";
import { jetstream } from "@nats-io/jetstream";
import { call } from "./lib/call.mjs";
import { follow } from "./lib/follow.mjs";
import { readOptions, runRequest } from "./lib/options.mjs";
import { show, showError, showResult } from "./lib/show.mjs";

const options = readOptions("node run.mjs [--tags LINUX+DEV] [--project P] [--id ID] [--deadline S] -- COMMAND");

async function main(nc) {
  const execution = await call(nc, "rb.api.dispatcher.run", runRequest(options));
  const finished = await follow(jetstream(nc), options.project, execution.id, show);
  return showResult(finished);
}

try {
  const nc = await connect({ servers: options.server, name: "runbus-node-run", maxReconnectAttempts: -1 });
  process.exitCode = await main(nc).finally(() => nc.close());
} catch (error) {
  process.exitCode = showError(error);
}

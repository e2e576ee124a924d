// Run a command now: ask a dispatcher, then follow the execution that it has accepted.

import { jetstream } from "@nats-io/jetstream";
import { call } from "./lib/call.mjs";
import { follow } from "./lib/follow.mjs";
import { main } from "./lib/main.mjs";
import { readOptions, runRequest } from "./lib/options.mjs";
import { show, showResult } from "./lib/show.mjs";

const options = readOptions("node run.mjs [--tags LINUX+DEV] [--project P] [--id ID] [--deadline S] -- COMMAND");

await main(options, async (nc) => {
  const execution = await call(nc, "rb.api.dispatcher.run", runRequest(options));
  const finished = await follow(jetstream(nc), options.project, execution.id, show);
  return showResult(finished);
});

// Run a stored job with secure values: sealed for one dispatcher, and by it for the runner that takes the job.

import { randomUUID } from "node:crypto";
import { jetstream } from "@nats-io/jetstream";
import { follow } from "./lib/follow.mjs";
import { main } from "./lib/main.mjs";
import { jobRequest, readSecureOptions } from "./lib/options.mjs";
import { runSealed } from "./lib/sealed.mjs";
import { show, showResult } from "./lib/show.mjs";

const USAGE = "node secure.mjs --secure-option NAME=@FILE [--project P] [--id ID] [--deadline S] JOB";
const options = readSecureOptions(USAGE);

await main(options, async (nc) => {
  const request = jobRequest({ ...options, id: options.id ?? randomUUID() });
  const execution = await runSealed(nc, request, options.secure);
  return showResult(await follow(jetstream(nc), options.project, execution.id, show));
});

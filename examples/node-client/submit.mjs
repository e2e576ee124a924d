// Run a command for certain: store the request on the bus, whether or not a dispatcher is up, then follow.
//
// Run it again with the same --id, after a crash or a lost connection: it is the same execution, not a second one.

import { jetstream } from "@nats-io/jetstream";
import { follow } from "./lib/follow.mjs";
import { main } from "./lib/main.mjs";
import { readOptions, runRequest } from "./lib/options.mjs";
import { show, showResult } from "./lib/show.mjs";

const USAGE = "node submit.mjs --id ID [--tags LINUX+DEV] [--project P] [--deadline S] -- COMMAND";
const options = readOptions(USAGE);
if (!options.id) {
  console.error(`--id is missing: the execution is followed under it\nusage: ${USAGE}`);
  process.exit(2);
}

await main(options, async (nc) => {
  const { project, id } = options;
  const js = jetstream(nc);
  const stored = await js.publish(`rb.${project}.request`, JSON.stringify(runRequest(options)), {
    msgID: `${project}.${id}`, // the header Nats-Msg-Id; one stream holds the requests of all projects
  });
  console.log(stored.duplicate ? `stored before: ${id}` : `stored: ${id}`);
  return showResult(await follow(js, project, id, show));
});

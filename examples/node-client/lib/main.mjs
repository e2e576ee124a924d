// Connect, do the work, exit with its code; whatever goes wrong is told and exits with 125.

import { connect } from "@nats-io/transport-node";
import { showError } from "./show.mjs";

export async function main(options, work) {
  let nc;
  try {
    nc = await connect({ servers: options.server, name: "runbus-node-client", maxReconnectAttempts: -1 });
  } catch (error) {
    process.exitCode = showError({ code: "unavailable", message: `${options.server}: ${error.message}` });
    return;
  }
  try {
    process.exitCode = await work(nc);
  } catch (error) {
    process.exitCode = showError(error);
  } finally {
    await nc.close();
  }
}

// Request/reply with the typed error: the code in a header, the whole error as JSON.

import { RequestError, TimeoutError } from "@nats-io/transport-node";

export class RunbusError extends Error {
  constructor({ code, message, error_id = "", origin = "", details = {} }) {
    super(message);
    Object.assign(this, { code, errorId: error_id, origin, details });
  }
}

export async function call(nc, subject, request, { timeoutMs = 5000 } = {}) {
  const reply = await send(nc, subject, request, timeoutMs);
  if (reply.headers?.has("Nats-Service-Error-Code")) throw new RunbusError(reply.json().error);
  return reply.json();
}

async function send(nc, subject, request, timeoutMs) {
  try {
    return await nc.request(subject, JSON.stringify(request), { timeout: timeoutMs });
  } catch (error) {
    if (error instanceof RequestError && error.isNoResponders()) {
      throw new RunbusError({ code: "unavailable", message: `nobody serves ${subject} now: nothing was sent on` });
    }
    if (error instanceof TimeoutError) {
      // It may have been accepted all the same. With an id of one's own the request can be repeated safely.
      throw new RunbusError({ code: "unavailable", message: `no answer on ${subject} within ${timeoutMs} ms` });
    }
    throw error;
  }
}

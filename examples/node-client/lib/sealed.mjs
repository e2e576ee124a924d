// Values that one dispatcher alone can open: nobody else on the bus reads them.

import sodium from "libsodium-wrappers";
import { call } from "./call.mjs";

const TRIES = 3;

// Runs a job, `request`, which has an id of ours, with secure `options`; resolves to the execution.
//
// The dispatcher whose key it is may be gone before it has answered. Then the run is asked for again, sealed for
// another one: under the same id it is the same execution.
export async function runSealed(nc, request, options) {
  for (let left = TRIES; ; ) {
    try {
      const key = await call(nc, "rb.api.dispatcher.sealing-key", {});
      const sealed_options = await seal(key.public_key, { ...whichRun(request), options });
      return await call(nc, `rb.dispatcher.${key.instance}.run`, { ...request, sealed_options });
    } catch (error) {
      if (error.code !== "unavailable" || --left === 0) throw error;
    }
  }
}

// The box names the run that it is for, so that it can be sent with no other.
function whichRun({ id, project, job }) {
  return { id, project, job };
}

// libsodium's sealed box (X25519, XSalsa20-Poly1305); the key comes, and the box goes, as base64.
async function seal(publicKey, message) {
  await sodium.ready;
  const box = sodium.crypto_box_seal(JSON.stringify(message), Buffer.from(publicKey, "base64"));
  return Buffer.from(box).toString("base64");
}

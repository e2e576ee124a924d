// What the programs print, and with which code they exit.

import { constants } from "node:os";

export const REFUSED = 125; // Runbus did not carry it out (docker run says it with the same code)

export const show = {
  runner: (name) => console.log(`runner: ${name}`),
  entry: ({ stream, text = "", base64 }) => {
    const output = stream === "stdout" ? process.stdout : process.stderr;
    output.write(base64 ? Buffer.from(base64, "base64") : text);
  },
};

export function showResult({ state, exit_code, signal, duration_s, error }) {
  const how = signal ? `, ended by ${signal}` : exit_code === null ? "" : `, exit code ${exit_code}`;
  console.log(`result: ${state}${how}, after ${duration_s.toFixed(3)} s`);
  if (error) console.error(`${error.code}: ${error.message}`);
  if (state === "succeeded") return 0;
  return signal ? 128 + constants.signals[signal] : exit_code || REFUSED;
}

export function showError(error) {
  const id = error.errorId ? ` (${error.origin}, error id ${error.errorId})` : "";
  console.error(`${error.code ?? error.name}: ${error.message}${id}`);
  return REFUSED;
}

// Follow one execution to its end: its events on RB_EVENTS, its output on RB_LOGS.
//
// Ordered consumers read from the start of the streams: nothing is missed, whenever we begin and however slow we are.

// Calls `show.runner(name)` once it is claimed, then `show.entry(entry)` for each piece of the log;
// resolves to the `assignment_finished` event once the log has been shown to its end; where several runners serve it,
// to the `execution_finished` event.
export async function follow(js, project, id, show) {
  const events = await open(js, "RB_EVENTS", `rb.${project}.exec.${id}.>`);
  let assignments; // named by the first event; one that was refused has none
  let orchestrated = false;
  let log;
  const finished = new Map();
  for await (const message of events.messages) {
    const event = message.json();
    switch (event.type) {
      case "runbus.execution_queued.v1":
        ({ assignments, orchestrated = false } = event);
        break;
      case "runbus.assignment_started.v1":
        show.runner(event.runner);
        log ??= await LogReader.open(js, project, id, show.entry);
        break;
      case "runbus.assignment_finished.v1":
        finished.set(event.assignment, event);
        break;
      case "runbus.execution_finished.v1":
        finished.set("0", event);
        break;
    }
    const refused = !assignments && message.subject.endsWith(".dispatcher") && finished.size > 0;
    const ended = orchestrated ? finished.has("0") : assignments?.every((each) => finished.has(each));
    if (refused || ended) break;
  }
  await events.close();
  const ends = [...finished.values()];
  await log?.finish(Math.max(...ends.map((end) => end.last_log_seq)));
  return finished.get("0") ?? ends.find((end) => end.state !== "succeeded") ?? ends[0];
}

class LogReader {
  #source;
  #done;
  #seq = 0;
  #last = Infinity;

  static async open(js, project, id, onEntry) {
    const reader = new LogReader();
    reader.#source = await open(js, "RB_LOGS", `rb.${project}.log.${id}.>`);
    reader.#done = reader.#read(onEntry);
    return reader;
  }

  async #read(onEntry) {
    for await (const message of this.#source.messages) {
      for (const entry of message.json().entries) onEntry(entry);
      this.#seq = message.seq;
      if (this.#seq >= this.#last) break;
    }
  }

  // The log is whole when the stream's sequence `last_log_seq` has been read.
  async finish(lastLogSeq) {
    this.#last = lastLogSeq;
    if (this.#seq >= lastLogSeq) this.#source.messages.stop();
    await this.#done;
    await this.#source.close();
  }
}

async function open(js, stream, filter) {
  const consumer = await js.consumers.get(stream, { filter_subjects: filter }); // ordered: options, not a name
  const messages = await consumer.consume();
  const close = async () => {
    messages.stop();
    await consumer.delete().catch(() => {}); // else the server removes it after five minutes
  };
  return { messages, close };
}

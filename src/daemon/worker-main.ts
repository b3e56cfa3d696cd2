/** Entry point of a worker process; started by the supervisor, never by hand. */
import { Worker } from "./worker.ts";

new Worker().run();
// Node's own handles must not keep the process: there is nothing left to do.
process.exit(0);

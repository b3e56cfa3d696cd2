/** Entry point of the router process; started by the supervisor, never by hand. */
import { Router } from "./router.ts";

new Router().run();
// Node's own handles must not keep the process: there is nothing left to do.
process.exit(0);

// Started once.
import { hub } from "./wheel.js";
import { hub as realtimeHub } from "@/lib/realtimeHub";

const TABLE = "jobs";

hub.turn();
// new work
realtimeHub
  .subscribe(TABLE, "INSERT", (change) => {
    enqueue(change.new);
  });
realtimeHub.subscribe(TABLE, "DELETE", forget);

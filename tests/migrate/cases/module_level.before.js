// Started once.
import { supabase } from "./supabase.js";
import { hub } from "./wheel.js";

const TABLE = "jobs";

hub.turn();
supabase.channel("jobs")
  // new work
  .on("postgres_changes", { event: "INSERT", schema: "public", table: TABLE }, (change) => {
    enqueue(change.new);
  })
  .on("postgres_changes", { event: "DELETE", schema: "public", table: TABLE }, forget)
  .subscribe();

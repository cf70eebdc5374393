export class Table {
    /**
     * @param {Host} host
     * @param {string} schema
     * @param {string} table
     */
    constructor(host: Host, schema: string, table: string);
    /** @type {Status} */
    status: Status;
    /** @type {string | undefined} */
    error: string | undefined;
    schema: string;
    table: string;
    get polling(): boolean;
    get connected(): boolean;
    /**
     * @param {Listener} listener
     * @param {import('./types.js').Polling} [polling]
     */
    add(listener: Listener, polling?: import("./types.js").Polling): void;
    /** @param {Listener} listener */
    remove(listener: Listener): void;
    /** Leave the server and forget all listeners; returns when the channels have left. */
    close(): Promise<void>;
    /** @returns {import('./types.js').TableStats} */
    stats(): import("./types.js").TableStats;
    #private;
}
export type Binding = import("./types.js").Binding;
export type EventName = import("./types.js").EventName;
export type Listener = import("./types.js").Listener;
export type Host = import("./types.js").Host;
export type Status = import("./types.js").Status;
export type Timer = ReturnType<typeof setTimeout> | undefined;

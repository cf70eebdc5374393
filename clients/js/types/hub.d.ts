/**
 * A hub that `getHub` finds by its name. For a client that has one of this name, that one is
 * returned: a module that is loaded again finds its hub.
 *
 * @param {Client} client
 * @param {HubOptions} [options]
 * @throws {HubError} NameTaken
 */
export function createHub(client: Client, options?: HubOptions): RealtimeHub;
/**
 * @param {string} [name]
 * @throws {HubError} NoSuchHub
 */
export function getHub(name?: string): RealtimeHub;
/** The statistics of all hubs that `createHub` made. */
export function allStats(): import("./types.js").HubStats[];
/**
 * One channel per table on one client, and any number of listeners.
 *
 * It works again after `cleanup()`, and so can live as long as the application, across log-ins.
 */
export class RealtimeHub {
    /**
     * @param {Client} client a SupabaseClient
     * @param {HubOptions} [options]
     */
    constructor(client: Client, options?: HubOptions);
    /** @type {Client} */
    client: Client;
    /** @type {string} */
    name: string;
    /**
     * Listen to a table; call what is returned to stop, once or more often.
     *
     * The callback gets each change as supabase-js hands it over. It may be asynchronous, and may
     * unsubscribe anybody. What it raises goes to `onError`.
     *
     * @template {import('./types.js').Row} [T=import('./types.js').Row]
     * @overload
     * @param {string} table
     * @param {'INSERT'} events
     * @param {import('./types.js').InsertHandler<T>} callback
     * @param {SubscribeOptions} [options]
     * @returns {import('./types.js').Unsubscribe}
     * @throws {HubError} InvalidTable, InvalidEvents, InvalidCallback, InvalidFilter
     */
    subscribe<T extends import("./types.js").Row = import("./types.js").Row>(table: string, events: "INSERT", callback: import("./types.js").InsertHandler<T>, options?: import("./types.js").SubscribeOptions | undefined): import("./types.js").Unsubscribe;
    /**
     * @template {import('./types.js').Row} [T=import('./types.js').Row]
     * @overload
     * @param {string} table
     * @param {'UPDATE'} events
     * @param {import('./types.js').UpdateHandler<T>} callback
     * @param {SubscribeOptions} [options]
     * @returns {import('./types.js').Unsubscribe}
     * @throws {HubError} InvalidTable, InvalidEvents, InvalidCallback, InvalidFilter
     */
    subscribe<T extends import("./types.js").Row = import("./types.js").Row>(table: string, events: "UPDATE", callback: import("./types.js").UpdateHandler<T>, options?: import("./types.js").SubscribeOptions | undefined): import("./types.js").Unsubscribe;
    /**
     * @template {import('./types.js').Row} [T=import('./types.js').Row]
     * @overload
     * @param {string} table
     * @param {'DELETE'} events
     * @param {import('./types.js').DeleteHandler<T>} callback
     * @param {SubscribeOptions} [options]
     * @returns {import('./types.js').Unsubscribe}
     * @throws {HubError} InvalidTable, InvalidEvents, InvalidCallback, InvalidFilter
     */
    subscribe<T extends import("./types.js").Row = import("./types.js").Row>(table: string, events: "DELETE", callback: import("./types.js").DeleteHandler<T>, options?: import("./types.js").SubscribeOptions | undefined): import("./types.js").Unsubscribe;
    /**
     * @template {import('./types.js').Row} [T=import('./types.js').Row]
     * @overload
     * @param {string} table
     * @param {Events} events
     * @param {import('./types.js').Handler<T>} callback
     * @param {SubscribeOptions} [options]
     * @returns {import('./types.js').Unsubscribe}
     * @throws {HubError} InvalidTable, InvalidEvents, InvalidCallback, InvalidFilter
     */
    subscribe<T extends import("./types.js").Row = import("./types.js").Row>(table: string, events: Events, callback: import("./types.js").Handler<T>, options?: import("./types.js").SubscribeOptions | undefined): import("./types.js").Unsubscribe;
    /**
     * Do changes of this table flow now?
     *
     * @param {string} table
     * @param {{ schema?: string }} [options]
     */
    isConnected(table: string, { schema }?: {
        schema?: string;
    }): boolean;
    /**
     * A table's status as `onStatus` last told it.
     *
     * @param {string} table
     * @param {{ schema?: string }} [options]
     * @returns {import('./types.js').Status}
     */
    status(table: string, { schema }?: {
        schema?: string;
    }): import("./types.js").Status;
    /**
     * Hear of each change of a table's status; returns what ends that.
     *
     * @param {(change: StatusChange) => unknown} callback
     * @returns {import('./types.js').Unsubscribe}
     */
    onStatus(callback: (change: StatusChange) => unknown): import("./types.js").Unsubscribe;
    /** @returns {import('./types.js').HubStats} */
    getStats(): import("./types.js").HubStats;
    /** Drop all listeners, polling and channels; done when the channels have left. */
    cleanup(): Promise<void>;
    /** Clean up, stop following the log-in, and free the name. */
    dispose(): Promise<void>;
    #private;
}
export type Client = import("./types.js").Client;
export type ErrorContext = import("./types.js").ErrorContext;
export type EventName = import("./types.js").EventName;
export type Events = import("./types.js").Events;
export type HubOptions = import("./types.js").HubOptions;
export type Listener = import("./types.js").Listener;
export type StatusChange = import("./types.js").StatusChange;
export type SubscribeOptions = import("./types.js").SubscribeOptions;

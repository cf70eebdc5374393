export class Link {
    /**
     * @param {Client} client
     * @param {string} topic
     * @param {string} schema
     * @param {string} table
     * @param {Binding[]} bindings
     * @param {LinkEvents} events
     * @param {string} [since] where an earlier channel with a cursor ended
     */
    constructor(client: Client, topic: string, schema: string, table: string, bindings: Binding[], events: LinkEvents, since?: string);
    /** @type {'joining' | 'ready' | 'down' | 'refused' | 'left'} */
    state: "joining" | "ready" | "down" | "refused" | "left";
    joins: number;
    received: number;
    bindings: import("./types.js").Binding[];
    /** Where this channel is, if the server tells: a join from there on misses nothing. */
    get cursor(): string | undefined;
    /** Leave for good; nothing is reported any more. */
    leave(): Promise<void>;
    #private;
}
export type Binding = import("./types.js").Binding;
export type Client = import("./types.js").Client;
export type Missed = {
    reason: string;
    message: string;
    from?: string | null;
    to?: string | null;
};
export type Asked = {
    event: string;
    schema: string;
    table: string;
    filter?: string;
    since?: string;
};
export type LinkEvents = {
    change: (link: Link, binding: Binding, change: any) => void;
    /**
     * changes flow
     */
    ready: (link: Link) => void;
    /**
     * supabase-js is trying again
     */
    down: (link: Link, error: string | undefined) => void;
    /**
     * the server ended the channel for good
     */
    closed: (link: Link) => void;
    refused: (link: Link, error: string) => void;
    gap: (link: Link, missed: Missed) => void;
};
export type Topics = Map<string, (payload: any) => void>;

/**
 * @typedef {import('./types.js').Binding} Binding
 * @typedef {import('./types.js').EventName} EventName
 * @typedef {import('./types.js').Listener} Listener
 * @typedef {import('./link.js').Link} Link
 * @typedef {import('./types.js').ErrorContext['where']} Where
 */
export class Dispatch {
    /**
     * @param {ReadonlyMap<Listener, unknown>} listeners as they are now, and will be
     * @param {(error: unknown, where: Where, change?: any) => void} report
     */
    constructor(listeners: ReadonlyMap<Listener, unknown>, report: (error: unknown, where: Where, change?: any) => void);
    delivered: number;
    errors: number;
    /** Listeners have come or gone. */
    changed(): void;
    /**
     * The listeners that a change is for, as far as it came through this binding.
     *
     * @param {Link} link
     * @param {Binding} binding
     * @param {any} change
     */
    wanting(link: Link, binding: Binding, change: any): import("./types.js").Listener[];
    /**
     * @param {Listener} listener
     * @param {any} change
     */
    call(listener: Listener, change: any): void;
    /**
     * A listener that raises harms nobody else.
     *
     * @param {() => unknown} call
     * @param {Where} where
     * @param {any} [change]
     */
    run(call: () => unknown, where: Where, change?: any): void;
    /**
     * @param {unknown} error
     * @param {Where} where
     * @param {any} [change]
     */
    fail(error: unknown, where: Where, change?: any): void;
    #private;
}
export type Binding = import("./types.js").Binding;
export type EventName = import("./types.js").EventName;
export type Listener = import("./types.js").Listener;
export type Link = import("./link.js").Link;
export type Where = import("./types.js").ErrorContext["where"];

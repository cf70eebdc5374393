/** @typedef {import('./types.js').Listener} Listener */
/**
 * The old channel serves its listeners until the end. What the new one brings for them waits
 * here, and is delivered then unless the old one brought it too.
 *
 * Changes carry no number, so that they are compared by content, and counted: two equal ones of
 * one transaction are two.
 */
export class Overlap {
    /**
     * @param {Listener} listener
     * @param {any} change
     */
    served(listener: Listener, change: any): void;
    /**
     * @param {Listener} listener
     * @param {any} change
     */
    wait(listener: Listener, change: any): void;
    /** The new channel has to join once more: what it brought so far is not needed. */
    reset(): void;
    /** What the old channel did not bring, in the new one's order. */
    take(): [import("./types.js").Listener, any][];
    #private;
}
export type Listener = import("./types.js").Listener;

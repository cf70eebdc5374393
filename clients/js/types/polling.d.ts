export class Poller {
    /**
     * @param {import('./types.js').Polling} polling
     * @param {(error: unknown) => void} report
     */
    constructor(polling: import("./types.js").Polling, report: (error: unknown) => void);
    calls: number;
    get active(): boolean;
    /** Changes don't come: ask now, and go on asking. */
    down(): void;
    /** They come again: ask once more, for what came in between. */
    up(): void;
    /** Something was missed: ask once. */
    once(): void;
    stop(): void;
    #private;
}

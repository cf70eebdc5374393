/**
 * Gives the components below it a hub; without it they use `getHub()`.
 *
 * @param {{ hub: RealtimeHub, children?: import('react').ReactNode }} props
 */
export function RealtimeHubProvider({ hub, children }: {
    hub: RealtimeHub;
    children?: import("react").ReactNode;
}): import("react").FunctionComponentElement<import("react").ProviderProps<import("./hub.js").RealtimeHub | null>>;
/**
 * Listen to a table while the component is mounted; returns the table's status.
 *
 * The newest handler is called, and a new one on each render costs nothing: only another table,
 * event or filter subscribes anew.
 *
 * @template {import('./types.js').Row} [T=import('./types.js').Row]
 * @param {string} table
 * @param {import('./types.js').Events} events
 * @param {import('./types.js').Handler<T>} handler
 * @param {UseRealtimeOptions} [options]
 * @returns {import('./types.js').Status}
 */
export function useRealtime<T extends import("./types.js").Row = import("./types.js").Row>(table: string, events: import("./types.js").Events, handler: import("./types.js").Handler<T>, options?: UseRealtimeOptions): import("./types.js").Status;
export type RealtimeHub = import("./hub.js").RealtimeHub;
export type UseRealtimeOptions = import("./types.js").SubscribeOptions & {
    hub?: RealtimeHub;
    enabled?: boolean;
};

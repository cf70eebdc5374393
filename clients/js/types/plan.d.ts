/**
 * The cheapest bindings that serve all listeners, in a stable order: a listener without a filter
 * covers those whose filter can be judged here; equality filters on one column become one `in`.
 *
 * @param {Iterable<Listener>} listeners
 * @param {'narrow' | '*'} upstream
 * @returns {Binding[]}
 */
export function plan(listeners: Iterable<Listener>, upstream: "narrow" | "*"): Binding[];
/**
 * The binding through which a listener gets an event; null where none brings it.
 *
 * @param {readonly Binding[]} bindings
 * @param {Listener} listener
 * @param {EventName} event
 */
export function route(bindings: readonly Binding[], listener: Listener, event: EventName): import("./types.js").Binding | null;
/**
 * Do these bindings bring all that the ideal ones would?
 *
 * @param {readonly Binding[]} bindings
 * @param {readonly Binding[]} ideal
 * @param {Iterable<Listener>} listeners
 */
export function covers(bindings: readonly Binding[], ideal: readonly Binding[], listeners: Iterable<Listener>): boolean;
/**
 * @param {readonly Binding[]} a
 * @param {readonly Binding[]} b
 */
export function same(a: readonly Binding[], b: readonly Binding[]): boolean;
/**
 * @typedef {import('./types.js').Binding} Binding
 * @typedef {import('./types.js').EventName} EventName
 * @typedef {import('./types.js').Listener} Listener
 */
/** @type {readonly EventName[]} */
export const EVENTS: readonly EventName[];
export type Binding = import("./types.js").Binding;
export type EventName = import("./types.js").EventName;
export type Listener = import("./types.js").Listener;

/**
 * The conditions of a filter; null where only the server can judge it: operators such as
 * `like`, and an order of texts, which depends on a collation.
 *
 * @param {string} text
 * @returns {Condition[] | null}
 */
export function parseFilter(text: string): Condition[] | null;
/**
 * Does a row satisfy all conditions? NULL and a missing column satisfy none but `is`.
 *
 * @param {readonly Condition[]} conditions
 * @param {Record<string, any>} row
 */
export function matches(conditions: readonly Condition[], row: Record<string, any>): boolean;
/**
 * At commas outside quotes and parentheses.
 *
 * @param {string} text
 */
export function split(text: string): string[];
export type Condition = import("./types.js").Condition;

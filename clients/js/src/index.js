export { HubError } from './errors.js'
export { RealtimeHub, allStats, createHub, getHub } from './hub.js'

/**
 * @typedef {import('./types.js').Client} Client
 * @typedef {import('./types.js').ErrorContext} ErrorContext
 * @typedef {import('./types.js').EventName} EventName
 * @typedef {import('./types.js').Events} Events
 * @typedef {import('./types.js').Gap} Gap
 * @typedef {import('./types.js').HubOptions} HubOptions
 * @typedef {import('./types.js').HubStats} HubStats
 * @typedef {import('./types.js').Polling} Polling
 * @typedef {import('./types.js').Status} Status
 * @typedef {import('./types.js').StatusChange} StatusChange
 * @typedef {import('./types.js').SubscribeOptions} SubscribeOptions
 * @typedef {import('./types.js').TableStats} TableStats
 * @typedef {import('./types.js').Unsubscribe} Unsubscribe
 */

/**
 * @template {import('./types.js').Row} [T=import('./types.js').Row]
 * @typedef {import('./types.js').Change<T>} Change
 */

/**
 * @template {import('./types.js').Row} [T=import('./types.js').Row]
 * @typedef {import('./types.js').Handler<T>} Handler
 */

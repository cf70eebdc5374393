// Supabase's filters, as far as they can be judged here. What can't be is left to the server.

/** @typedef {import('./types.js').Condition} Condition */

const CONDITION = /^(?<column>[^=]+)=(?<not>not\.)?(?<op>eq|neq|lte?|gte?|in|is)\.(?<value>.*)$/s
const QUOTED = /^"(?:[^"\\]|\\.)*"$/s
const UUID = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/i
const MOMENT = /^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}|$)/
const TRUE = new Set(['true', 't', 'yes', 'y', 'on', '1'])
const FALSE = new Set(['false', 'f', 'no', 'n', 'off', '0'])

/**
 * The conditions of a filter; null where only the server can judge it: operators such as
 * `like`, and an order of texts, which depends on a collation.
 *
 * @param {string} text
 * @returns {Condition[] | null}
 */
export function parseFilter(text) {
  const conditions = split(text).map(parseCondition)
  return conditions.every((each) => each !== null) ? conditions : null
}

/**
 * Does a row satisfy all conditions? NULL and a missing column satisfy none but `is`.
 *
 * @param {readonly Condition[]} conditions
 * @param {Record<string, any>} row
 */
export function matches(conditions, row) {
  return conditions.every((condition) => holds(condition, row[condition.column]))
}

/**
 * @param {string} text
 * @returns {Condition | null}
 */
function parseCondition(text) {
  const groups = CONDITION.exec(text)?.groups
  if (!groups) return null
  const op = /** @type {Condition['op']} */ (groups.op)
  const values = op === 'in' ? members(groups.value) : [unquote(groups.value)]
  if (values === null) return null
  const ordered = op.startsWith('l') || op.startsWith('g')
  if (ordered && !MOMENT.test(values[0]) && !isNumber(values[0])) return null
  return { column: groups.column.trim(), op, negated: groups.not !== undefined, values }
}

/** @param {string} text */
function members(text) {
  if (!text.startsWith('(') || !text.endsWith(')')) return null
  return split(text.slice(1, -1)).map((each) => unquote(each.trim()))
}

/**
 * At commas outside quotes and parentheses.
 *
 * @param {string} text
 */
export function split(text) {
  const parts = []
  let depth = 0
  let quoted = false
  let start = 0
  for (let i = 0; i < text.length; i++) {
    const char = text[i]
    if (quoted) {
      if (char === '\\') i++
      else if (char === '"') quoted = false
    } else if (char === '"' && (i === 0 || '.,('.includes(text[i - 1]))) quoted = true
    else if (char === '(') depth++
    else if (char === ')') depth--
    else if (char === ',' && depth === 0) {
      parts.push(text.slice(start, i))
      start = i + 1
    }
  }
  parts.push(text.slice(start))
  return parts
}

/** @param {string} text */
function unquote(text) {
  return QUOTED.test(text) ? text.slice(1, -1).replace(/\\(.)/gs, '$1') : text
}

/** @param {string} text */
function isNumber(text) {
  return text.trim() !== '' && Number.isFinite(Number(text))
}

/**
 * @param {Condition} condition
 * @param {unknown} value
 */
function holds({ op, negated, values }, value) {
  if (value === undefined) return false
  if (op === 'is') return isOne(value, values[0].toLowerCase()) !== negated
  if (value === null) return false
  return judge(op, value, values) !== negated
}

/**
 * @param {unknown} value
 * @param {string} word
 */
function isOne(value, word) {
  if (word === 'null' || word === 'unknown') return value === null
  return value === (word === 'true')
}

/**
 * @param {Condition['op']} op
 * @param {unknown} value
 * @param {string[]} literals
 */
function judge(op, value, literals) {
  if (op === 'in') return literals.some((literal) => compare(value, literal) === 0)
  const order = compare(value, literals[0])
  switch (op) {
    case 'eq':
      return order === 0
    case 'neq':
      return order !== 0
    case 'lt':
      return order < 0
    case 'lte':
      return order <= 0
    case 'gt':
      return order > 0
    default:
      return order >= 0
  }
}

/**
 * Below, at or above 0, as a sort's; NaN where the two can't be equal.
 *
 * @param {unknown} value
 * @param {string} literal
 */
function compare(value, literal) {
  if (typeof value === 'number') return value - Number(literal)
  if (typeof value === 'boolean') return Number(value) - toBoolean(literal)
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  if (UUID.test(text) && UUID.test(literal)) return order(text.toLowerCase(), literal.toLowerCase())
  if (MOMENT.test(text) && MOMENT.test(literal)) {
    const difference = Date.parse(text) - Date.parse(literal)
    if (!Number.isNaN(difference)) return difference
  }
  return order(text, literal)
}

/** @param {string} literal */
function toBoolean(literal) {
  const word = literal.toLowerCase()
  if (TRUE.has(word)) return 1
  return FALSE.has(word) ? 0 : NaN
}

/**
 * @param {string} a
 * @param {string} b
 */
function order(a, b) {
  if (a === b) return 0
  return a < b ? -1 : 1
}

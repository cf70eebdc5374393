export const TABLES = { calls: 'phone_calls', notes: 'call_notes' } as const
export const PUBLIC = 'public'

import { createClient } from '@supabase/supabase-js';

const url = process.env.SUPABASE_URL ?? 'http://127.0.0.1:4000';
const key = process.env.SUPABASE_ANON_KEY ?? 'anon';

/** The main data. */
export const supabase = createClient(url, key);

/** Notices, tickets and settings of the user interface. */
export const supabaseSystemUI = createClient(url, key, { auth: { storageKey: 'system-ui' } });

'use strict'
const { createClient } = require('@supabase/supabase-js')

const supabase = createClient(process.env.SUPABASE_URL, process.env.SUPABASE_KEY)

function main() {
  supabase
    .channel('worker')
    .on('postgres_changes', { event: 'INSERT', schema: 'public', table: 'jobs' }, async ({ new: job }) => {
      await run(job)
    })
    .subscribe((status) => console.log(status))
}

async function run(job) {}

main()

#!/usr/bin/env node
const { createClient } = require('@supabase/supabase-js')

const supabase = createClient('http://127.0.0.1', 'key')

class Jobs {
  #channel = null

  start() {
    this.#channel = supabase
      .channel('jobs')
      .on('postgres_changes', { event: 'INSERT', schema: 'public', table: 'jobs' }, ({ new: job }) => {
        this.run(job)
      })
      .subscribe()
  }

  stop() {
    this.#channel?.unsubscribe()
    this.#channel = null
  }

  run(job) {
    console.log(job)
  }
}

module.exports = { Jobs }

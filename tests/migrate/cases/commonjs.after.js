#!/usr/bin/env node
const { hub } = require('@/lib/realtimeHub')
const { createClient } = require('@supabase/supabase-js')

const supabase = createClient('http://127.0.0.1', 'key')

class Jobs {
  #unsubscribe = null

  start() {
    this.#unsubscribe = hub
      .subscribe('jobs', 'INSERT', ({ new: job }) => {
        this.run(job)
      })
  }

  stop() {
    this.#unsubscribe?.()
    this.#unsubscribe = null
  }

  run(job) {
    console.log(job)
  }
}

module.exports = { Jobs }

import { once } from 'node:events'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { Worker } from 'node:worker_threads'
import { expect, onTestFinished, test } from 'vitest'
import { SqliteWatch } from '../../../src/storage/sqlite/watch.ts'
import { testFolder } from '../../helpers/folder.ts'

/** A second connection that fills the log and empties it, over and over. */
const OTHER = `
  const { workerData, parentPort } = require('node:worker_threads')
  const { DatabaseSync } = require('node:sqlite')
  const db = new DatabaseSync(workerData, { timeout: 1000 })
  db.exec('pragma synchronous = off')
  const insert = db.prepare('insert into t values (zeroblob(2000))')
  parentPort.postMessage('begun')
  for (let i = 0; i < 6000; i++) {
    insert.run()
    if (i % 3 === 0) db.exec('pragma wal_checkpoint(truncate)')
    if (i % 500 === 0) db.exec('delete from t')
  }
  db.close()
`

test('a log that another process empties and fills again is not taken for one that was cut', async () => {
  const path = join(testFolder(), 'shared.db')
  const db = new DatabaseSync(path, { timeout: 1000 })
  onTestFinished(() => db.close())
  db.exec('pragma journal_mode = wal; create table t (body blob); insert into t values (zeroblob(100000))')
  const watch = new SqliteWatch(path, db)
  watch.watchLog()
  const other = new Worker(OTHER, { eval: true, workerData: path })
  let isRunning = true
  const ended = once(other, 'exit').then(() => {
    isRunning = false
  })
  await once(other, 'message')
  for (let looks = 0; isRunning; looks++) {
    watch.check()
    if (looks % 50 === 0) await new Promise(resolve => setImmediate(resolve))
  }
  await ended
  expect(() => watch.check()).not.toThrow()
})

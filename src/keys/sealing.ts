import { createCipheriv, createDecipheriv, createHash, createHmac } from 'node:crypto'
import { existsSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { FixedTextError } from '../process/disclosure.ts'
import { StorageError } from '../process/errors.ts'
import type { Runtime } from '../process/runtime.ts'

/**
 * AES-256-GCM for what must not be readable in a copy of the database.
 * Layout: format (1 byte) · key id (4) · nonce (12) · tag (16) · ciphertext.
 */
const FORMAT = 1
const KEY_ID_END = 5
const NONCE_END = 17
const TAG_END = 33

/** Where a value stands. It is authenticated with the value, so a sealed value moved elsewhere does not open. */
export interface Place {
  readonly table: string
  readonly row: string
  readonly column: string
}

export interface Sealer {
  /** The ids of its keys, the current one first. */
  readonly keys: readonly [string, ...string[]]
  /** The id of the key that it seals with: the current one, unless `sealWith` named the other. */
  sealsWith(): string
  /** Has no effect for a key that it does not have. */
  sealWith(keyId: string): void
  seal(text: string, place: Place, keyId?: string): Buffer
  /** Throws UnsealError for a damaged, moved or foreign value. */
  open(sealed: Uint8Array, place: Place): string
  /** Fingerprints of a text, one for each key, the current one first. Without a key they cannot be made or tested. */
  fingerprints(text: string): readonly string[]
}

export class UnsealError extends FixedTextError {
  readonly code: 'unknown_key' | 'damaged'
  constructor(code: 'unknown_key' | 'damaged') {
    super(`sealed value cannot be opened: ${code}`)
    this.name = 'UnsealError'
    this.code = code
  }
}

/** Keys have 32 bytes. A value opens with the key that sealed it, current or previous. */
export function createSealer(
  keys: { current: Buffer; previous?: Buffer | undefined },
  runtime: Pick<Runtime, 'bytes'>,
): Sealer {
  const current = { id: keyId(keys.current), key: keys.current }
  const previous = keys.previous && { id: keyId(keys.previous), key: keys.previous }
  const known = previous ? [current, previous] : [current]
  const byId = new Map(known.map(key => [key.id.toString('hex'), key]))
  let inUse = current
  return {
    sealsWith: () => inUse.id.toString('hex'),
    sealWith(keyId) {
      inUse = byId.get(keyId) ?? inUse
    },
    keys: [current.id.toString('hex'), ...(previous ? [previous.id.toString('hex')] : [])],
    seal(text, place, keyId) {
      const { id, key } = (keyId !== undefined && byId.get(keyId)) || inUse
      const head = Buffer.concat([Buffer.of(FORMAT), id])
      const nonce = runtime.bytes(12)
      const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: 16 })
      cipher.setAAD(associatedData(place, head))
      const ciphertext = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()])
      return Buffer.concat([head, nonce, cipher.getAuthTag(), ciphertext])
    },
    open(sealed, place) {
      const bytes = Buffer.from(sealed)
      const head = bytes.subarray(0, KEY_ID_END)
      const key = known.find(k => k.id.equals(head.subarray(1)))
      if (!key || head[0] !== FORMAT) throw new UnsealError('unknown_key')
      return decipher(key.key, bytes, associatedData(place, head))
    },
    fingerprints: text => known.map(({ key }) => fingerprint(key, text)),
  }
}

function decipher(key: Buffer, bytes: Buffer, aad: Buffer): string {
  try {
    const nonce = bytes.subarray(KEY_ID_END, NONCE_END)
    const plain = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: 16 })
    plain.setAAD(aad).setAuthTag(bytes.subarray(NONCE_END, TAG_END))
    return plain.update(bytes.subarray(TAG_END), undefined, 'utf8') + plain.final('utf8')
  } catch {
    throw new UnsealError('damaged')
  }
}

/** The id, in hex, of the key that a sealed value says it is under. */
export const keyIdOf = (sealed: Uint8Array) => Buffer.from(sealed.subarray(1, KEY_ID_END)).toString('hex')

/** The id of a key, from which the key cannot be guessed. */
const keyId = (key: Buffer) => createHash('sha256').update('key id').update(key).digest().subarray(0, 4)

const fingerprint = (key: Buffer, text: string) =>
  createHmac('sha256', key).update('fingerprint ').update(text).digest('hex').slice(0, 16)

const associatedData = ({ table, row, column }: Place, head: Buffer) =>
  Buffer.concat([Buffer.from(`${JSON.stringify([table, row, column])} `), head])

/** The place of each sealed value. A change here makes stored values unreadable. */
export const tokenPlace = (
  row: { readonly event_id: string; readonly organization_id: string } | { readonly id: string },
  column: 'access_token' | 'refresh_token',
): Place =>
  'id' in row
    ? { table: 'sign_ins', row: row.id, column }
    : { table: 'connections', row: `${row.event_id} ${row.organization_id}`, column }

export const verifierPlace = (stateHash: string): Place => ({
  table: 'flows',
  row: stateHash,
  column: 'verifier',
})

export const checkPlace = (keyId: string): Place => ({
  table: 'sealing_keys',
  row: keyId,
  column: 'check_value',
})

const FORM = /^[A-Za-z0-9+/]{43}=\n?$/

/** The key for development, made once beside the database. Its file appears whole or not at all, so that all starts agree. */
export function developmentKey(file: string, runtime: Pick<Runtime, 'bytes' | 'uuid'>): Buffer {
  if (existsSync(file)) return readKey(file)
  const draft = `${file}.${runtime.uuid()}`
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
    writeFileSync(draft, `${runtime.bytes(32).toString('base64')}\n`, { flag: 'wx', mode: 0o600 })
    linkSync(draft, file)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST')
      throw new StorageError('cannot_create_key_file', { cause: error })
  } finally {
    rmSync(draft, { force: true })
  }
  return readKey(file)
}

function readKey(file: string): Buffer {
  const text = readFileSync(file, 'utf8')
  if (!FORM.test(text)) throw new StorageError('key_file_damaged')
  return Buffer.from(text, 'base64')
}

import { expect, expectTypeOf, test } from 'vitest'
import type { EventOf, HandlerContext } from '../../src/builder/context.ts'
import { oneOf, optional, type SettingsOf, secret, text, wholeNumber } from '../../src/builder/define.ts'
import { data } from '../../src/builder/event-data.ts'
import { type Started, service } from '../../src/builder/service.ts'
import type { EventApi } from '../../src/revento/api.ts'
import type { ParticipantRow } from '../../src/revento/platform.ts'

type Two = HandlerContext<'application.approved' | 'application.rejected'>

test('a look at the type of an event tells what is in it', () => {
  const told = ({ event }: Pick<Two, 'event'>) => {
    if (event.type === 'application.approved') {
      expectTypeOf(event.data.approver_id).toEqualTypeOf<string>()
      return event.data.approved_at
    }
    expectTypeOf(event.data.rejected_at).toEqualTypeOf<string>()
    // @ts-expect-error: of the other type.
    return event.data.approver_id.length
  }
  expect(told).toBeTypeOf('function')
  expectTypeOf<EventOf<'activity.updated'>['data']>().toEqualTypeOf<Record<string, unknown>>()
})

test('rows of the API are typed by the guide, and open beyond', () => {
  expectTypeOf<Awaited<ReturnType<EventApi['participants']>>['data']>().toEqualTypeOf<ParticipantRow[]>()
  const told = (row: ParticipantRow) => [row.last_review_action === 'approved', row['anything']] as const
  expectTypeOf(told).returns.toEqualTypeOf<readonly [boolean, unknown]>()
  // @ts-expect-error: no such status.
  expect(told({ application_status: 'cancelled' })).toEqual([false, undefined])
})

test('settings, services and event types of a builder need no cast', () => {
  const settings = {
    MAIL_KEY: secret('a key'),
    MAIL_TEAM: text('a team', { otherwise: 'x' }),
    MAIL_TRIES: wholeNumber('tries', { least: 1, most: 9 }),
    MAIL_MODE: optional(oneOf(['plain', 'fancy'])),
  }
  expectTypeOf<SettingsOf<typeof settings>>().toEqualTypeOf<{
    readonly MAIL_KEY: string
    readonly MAIL_TEAM: string
    readonly MAIL_TRIES: number
    readonly MAIL_MODE: 'plain' | 'fancy' | undefined
  }>()
  const services = {
    mail: service({ start: async () => ({ send: (): number => 1 }), stop: mail => mail.send() }),
  }
  const told = ({ mail }: Started<typeof services>) => mail.send()
  expectTypeOf(told).returns.toEqualTypeOf<number>()
  const types = { 'badge.printed': data<{ badge_id: string }>() }
  expectTypeOf<NonNullable<(typeof types)['badge.printed']['data']>>().toEqualTypeOf<{ badge_id: string }>()
})

/** A row of the API. Its field names are the sandbox's choice, since the guide shows no complete row. */
interface EventRow {
  id: string
  organization_id: string
  title: string
  description: string
  starts_at: string
  ends_at: string
  publish_status: 'published' | 'draft'
}

export interface TestEvent {
  row: EventRow
  organization: string
  /** The first number in the ids of this event, so that no participant id belongs to two events. */
  firstNumber: number
  /** How many have applied in the seed. */
  people: number
  applicationsFrom: number
}

const ORGANIZATION = { id: 'org_test_formal', name: 'Lantern Conventions e.V.' }

const EVENTS: readonly TestEvent[] = [
  testEvent(1, 36, '2026-08-03T09:12:00.000Z', {
    id: 'evt_test_published',
    title: 'Lantern Con 2027',
    description: 'Three days of panels, workshops and tabletop games by the river.',
    starts_at: '2027-05-14T08:00:00.000Z',
    ends_at: '2027-05-16T17:00:00.000Z',
    publish_status: 'published',
  }),
  testEvent(101, 36, '2026-09-14T17:40:00.000Z', {
    id: 'evt_test_second',
    title: 'Winter Makers Weekend',
    description: 'A small gathering for costume, prop and instrument makers.',
    starts_at: '2027-11-20T09:00:00.000Z',
    ends_at: '2027-11-21T16:00:00.000Z',
    publish_status: 'published',
  }),
  testEvent(1001, 1200, '2026-07-01T06:30:00.000Z', {
    id: 'evt_test_large',
    title: 'Harbour Games Fair',
    description: 'Board games in four halls, of a size that takes 24 full pages to list.',
    starts_at: '2027-06-11T08:00:00.000Z',
    ends_at: '2027-06-13T18:00:00.000Z',
    publish_status: 'published',
  }),
  testEvent(10_001, 10_000, '2026-07-01T06:30:00.000Z', {
    id: 'evt_test_huge',
    title: 'Northern Lights Expo',
    description: 'Larger than a minute of requests can list: 200 full pages.',
    starts_at: '2027-09-03T08:00:00.000Z',
    ends_at: '2027-09-05T18:00:00.000Z',
    publish_status: 'published',
  }),
]

function testEvent(
  firstNumber: number,
  people: number,
  from: string,
  row: Omit<EventRow, 'organization_id'>,
): TestEvent {
  const { id, name } = ORGANIZATION
  return {
    row: { ...row, organization_id: id },
    organization: name,
    firstNumber,
    people,
    applicationsFrom: Date.parse(from),
  }
}

export const testEvents = () => EVENTS
export const findEvent = (id: string) => EVENTS.find(({ row }) => row.id === id)

type Row = Record<string, unknown>

const THREADS = ['Main stage', 'Workshops', 'Tabletop'] as const
const TOPICS = [
  'Opening session',
  'Maps that tell stories',
  'Foam and leather basics',
  'One-shot adventures',
  'Writing quiet villains',
  'Lights on a small budget',
  'Meet the volunteers',
  'Open table',
] as const
const DAY = 86_400_000
const CAPACITY = 40

const daysOf = ({ row }: TestEvent) =>
  Math.floor((Date.parse(row.ends_at) - Date.parse(row.starts_at)) / DAY) + 1
const iso = (ms: number) => new Date(ms).toISOString()

/** The lists that program.read allows: on each day eight activities a thread, in four locations. */
export const programLists: Readonly<Record<string, (event: TestEvent) => Row[]>> = {
  program: days,
  activities,
  threads,
  locations,
  'registration-waves': waves,
}

function days(event: TestEvent): Row[] {
  return Array.from({ length: daysOf(event) }, (_, day) => ({
    id: `day_${event.firstNumber + day}`,
    title: `Day ${day + 1}`,
    starts_at: iso(Date.parse(event.row.starts_at) + day * DAY),
    thread_ids: threads(event).map(({ id }) => id),
  }))
}

function threads(event: TestEvent): Row[] {
  return THREADS.map((title, index) => ({ id: `thr_${event.firstNumber + index}`, title }))
}

function activities(event: TestEvent): Row[] {
  return days(event).flatMap((_, day) =>
    THREADS.flatMap((_, thread) =>
      TOPICS.map((title, slot) => activity(event, title, { day, thread, slot })),
    ),
  )
}

function activity(
  event: TestEvent,
  title: string,
  { day, thread, slot }: Record<'day' | 'thread' | 'slot', number>,
) {
  const starts = Date.parse(event.row.starts_at) + day * DAY + slot * 3_600_000
  return {
    id: `act_${event.firstNumber + (day * THREADS.length + thread) * TOPICS.length + slot}`,
    title,
    status: slot === 6 ? 'cancelled' : 'scheduled',
    starts_at: iso(starts),
    ends_at: iso(starts + 3_000_000),
    thread_id: `thr_${event.firstNumber + thread}`,
    location_id: `loc_${event.firstNumber + ((thread + slot) % 4)}`,
    min_age: slot === 7 ? 'age_18_plus' : 'age_all',
    capacity: CAPACITY,
  }
}

function locations(event: TestEvent): Row[] {
  return ['Great hall', 'Workshop A', 'Workshop B', 'Gallery'].map((name, index) => ({
    id: `loc_${event.firstNumber + index}`,
    name,
    building: 'River House',
    floor: index < 2 ? 0 : 1,
  }))
}

function waves(event: TestEvent): Row[] {
  return ['Early', 'Regular', 'Late'].map((name, index) => ({
    id: `wave_${event.firstNumber + index}`,
    name,
    opens_at: iso(event.applicationsFrom + (index * 45 - 1) * DAY),
    closes_at: iso(event.applicationsFrom + (index * 45 + 44) * DAY),
  }))
}

/** The data of a capacity webhook about the first activity of an event. */
export function capacitySnapshot(event: TestEvent, signups: number): Row {
  const [first] = activities(event)
  const state = signups >= CAPACITY ? 'full' : signups >= CAPACITY * 0.8 ? 'nearly_full' : 'available'
  return { id: first?.['id'], title: first?.['title'], capacity: CAPACITY, signups, capacity_state: state }
}

/** The events anybody can connect here. Row field names are the sandbox's choice: the guide shows no complete row. */
export interface EventRow {
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
  /** Where this event's ids start, so that no participant id belongs to two events. */
  firstNumber: number
  /** When the first application came in. */
  applicationsFrom: number
}

const ORGANIZATION = { id: 'org_test_formal', name: 'Lantern Conventions e.V.' }

const EVENTS: readonly TestEvent[] = [
  testEvent(1, '2026-08-03T09:12:00.000Z', {
    id: 'evt_test_published',
    title: 'Lantern Con 2027',
    description: 'Three days of panels, workshops and tabletop games by the river.',
    starts_at: '2027-05-14T08:00:00.000Z',
    ends_at: '2027-05-16T17:00:00.000Z',
    publish_status: 'published',
  }),
  testEvent(101, '2026-09-14T17:40:00.000Z', {
    id: 'evt_test_second',
    title: 'Winter Makers Weekend',
    description: 'A small gathering for costume, prop and instrument makers.',
    starts_at: '2027-11-20T09:00:00.000Z',
    ends_at: '2027-11-21T16:00:00.000Z',
    publish_status: 'published',
  }),
]

function testEvent(firstNumber: number, from: string, row: Omit<EventRow, 'organization_id'>): TestEvent {
  const { id, name } = ORGANIZATION
  return {
    row: { ...row, organization_id: id },
    organization: name,
    firstNumber,
    applicationsFrom: Date.parse(from),
  }
}

export const testEvents = () => EVENTS
export const findEvent = (id: string) => EVENTS.find(({ row }) => row.id === id)

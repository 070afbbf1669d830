import type { ApplicationStatus } from '../../revento/platform.ts'
import type { Review, State } from '../state.ts'
import { findEvent, type TestEvent } from './events.ts'

/** Names and mailboxes. The domain `example.org` is reserved (RFC 2606). */
const PEOPLE = [
  ['Amélie Rousseau', 'amelie.rousseau'],
  ['Tomáš Dvořák', 'tomas.dvorak'],
  ['李小龙', 'li.xiaolong'],
  ['Fatima Zahra El Idrissi', 'fatima.elidrissi'],
  ['Søren Kjærgaard', 'soren.kjaergaard'],
  ['Oluwaseun Adébáyọ̀', 'seun.adebayo'],
  ['佐藤 美咲', 'misaki.sato'],
  ['José Ángel Muñoz', 'jose.munoz'],
  ['Zoë van der Meer', 'zoe.vandermeer'],
  ['Дмитрий Соколов', 'dmitri.sokolov'],
  ['Priya Raghunathan', 'priya.r'],
  ['Łukasz Wójcik', 'lukasz.wojcik'],
  ["Siobhán O'Neill", 'siobhan.oneill'],
  ['محمد الأحمد', 'mohammed.alahmad'],
  ['Gökçe Yıldırım', 'gokce.yildirim'],
  ['김민준', 'minjun.kim'],
  ['Anneliese Weiß', 'anneliese.weiss'],
  ['Nguyễn Thị Hương', 'huong.nguyen'],
  ['Kwame Asante', 'kwame.asante'],
  ['Ελένη Παπαδοπούλου', 'eleni.papadopoulou'],
  ['João Gonçalves', 'joao.goncalves'],
  ['Þóra Björnsdóttir', 'thora.bjornsdottir'],
  ['รัตนา ศรีสุข', 'rattana.srisuk'],
  ['Mihai Țăranu', 'mihai.taranu'],
  ['Ngozi Okonjo-Eze', 'ngozi.okonjoeze'],
  ['נועה לוי', 'noa.levi'],
  ['Aleksandra Đorđević', 'aleksandra.djordjevic'],
  ['Wanjiku Kamau', 'wanjiku.kamau'],
  ['Jean-Baptiste Lefèvre', 'jb.lefevre'],
  ['अनन्या शर्मा', 'ananya.sharma'],
  ['Rūta Kazlauskienė', 'ruta.kazlauskiene'],
  ['Mateo Quispe Huamán', 'mateo.quispe'],
  ['Keala Kahananui', 'keala.k'],
  ['Nino გელაშვილი', 'nino.gelashvili'],
  ['Björn Ååkesson', 'bjorn.aakesson'],
  ['X Æ Whitfield', 'x.whitfield'],
] as const

export interface Person {
  name: string
  email: string
}

/** All 36 people, in an order that begins elsewhere for each event. */
export function people(first: number): Person[] {
  return PEOPLE.map((_, index) => {
    const [name, mailbox] = PEOPLE[(index + first) % PEOPLE.length] ?? PEOPLE[0]
    return { name, email: `${mailbox}@example.org` }
  })
}

export interface ParticipantRow {
  id: string
  application_id: string
  user_id: string
  name: string
  email: string
  role: string
  application_status: string
  submitted_at: string
  registered_at: string | null
  last_reviewed_at: string | null
  last_reviewer_id: string | null
  last_review_action: string | null
  custom_form_fields: Record<string, unknown>
}

export const REVIEWER = 'usr_org_001'
const HOUR = 3_600_000
const STATUSES: readonly ApplicationStatus[] = [
  'approved',
  'pending',
  'approved',
  'revision_requested',
  'pending',
  'rejected',
  'approved',
  'pending',
]
const ROLES = ['attendee', 'attendee', 'speaker', 'attendee', 'volunteer', 'attendee', 'exhibitor'] as const
const TRACKS = ['Worldbuilding', 'Game design', 'Craft and props', 'Community'] as const
const DIETS = [null, 'vegetarian', null, 'no nuts', 'vegan', null, 'halal', 'gluten free'] as const
const at = <T>(list: readonly [T, ...T[]] | readonly T[], index: number) => list[index % list.length] as T

/** The participants of an event as they are now: the seed with every review since. */
export function participants(state: State, eventId: string): ParticipantRow[] {
  const event = findEvent(eventId)
  if (!event) return []
  return people(event.firstNumber - 1).map((person, index) => {
    const seed = seedRow(event, index, person)
    return { ...seed, ...state.reviews[seed.id] }
  })
}

function seedRow(
  { applicationsFrom, firstNumber }: TestEvent,
  index: number,
  { name, email }: Person,
): ParticipantRow {
  const number = String(firstNumber + index).padStart(3, '0')
  const status = at(STATUSES, index)
  const submitted = applicationsFrom + index * 29 * HOUR + index * 247_000
  const reviewed = status === 'pending' ? null : iso(submitted + (20 + (index % 5) * 9) * HOUR)
  return {
    id: `ptp_${number}`,
    application_id: `app_${number}`,
    user_id: `usr_${number}`,
    name,
    email,
    role: at(ROLES, index),
    application_status: status,
    submitted_at: iso(submitted),
    registered_at: status === 'approved' && index % 4 === 0 ? iso(submitted + 80 * HOUR) : null,
    last_reviewed_at: reviewed,
    last_reviewer_id: reviewed && REVIEWER,
    last_review_action: status === 'pending' ? null : status,
    custom_form_fields: {
      favorite_track: at(TRACKS, index),
      dietary_notes: at(DIETS, index),
      first_visit: index % 3 === 0,
    },
  }
}

const iso = (ms: number) => new Date(ms).toISOString()

/** Records a change of a participant, so that the API and the webhook agree. */
export function amend(state: State, row: ParticipantRow, change: Review): ParticipantRow {
  state.reviews[row.id] = { ...state.reviews[row.id], ...change }
  return { ...row, ...change }
}

/** A participant whose application is pending. When none is left the event is put back to its seed first. */
export function nextPending(state: State, eventId: string): ParticipantRow | undefined {
  const isPending = (row: ParticipantRow) => row.application_status === 'pending'
  const waiting = participants(state, eventId).find(isPending)
  if (waiting) return waiting
  for (const { id } of participants(state, eventId)) delete state.reviews[id]
  return participants(state, eventId).find(isPending)
}
